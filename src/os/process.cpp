#include "os/process.h"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>

extern char** environ;  // POSIX declares it nowhere

namespace quern {

namespace {

constexpr size_t kErrorTextLimit = 8192;
constexpr int kPollMs = 200;

struct Pipe {
  int read_end = -1;
  int write_end = -1;

  Pipe() = default;
  Pipe(const Pipe&) = delete;
  Pipe& operator=(const Pipe&) = delete;
  ~Pipe() {
    close_end(read_end);
    close_end(write_end);
  }
  bool open() {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) return false;
    read_end = ends[0];
    write_end = ends[1];
    return true;
  }
  static void close_end(int& end) {
    if (end >= 0) ::close(end);
    end = -1;
  }
};

std::vector<std::string> merged_environment(const std::vector<std::pair<std::string, std::string>>& extra) {
  std::vector<std::string> result;
  for (const auto& [name, value] : extra) result.push_back(name + "=" + value);
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view text = *entry;
    const std::string_view name = text.substr(0, text.find('='));
    bool replaced = false;
    for (const auto& pair : extra) replaced = replaced || pair.first == name;
    if (!replaced) result.emplace_back(text);
  }
  return result;
}

std::vector<char*> pointers(std::vector<std::string>& texts) {
  std::vector<char*> result;
  for (std::string& text : texts) result.push_back(text.data());
  result.push_back(nullptr);
  return result;
}

Result<pid_t> spawn(const ProcessOptions& options, const Pipe& out, const Pipe& err) {
  if (options.argv.empty()) return fail(ErrorCode::kInvalidArgument, "no program is named");
  std::vector<std::string> args = options.argv;
  std::vector<std::string> environment = merged_environment(options.environment);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, out.write_end, STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&actions, err.write_end, STDERR_FILENO);
  pid_t child = -1;
  const int code =
      ::posix_spawnp(&child, args[0].c_str(), &actions, nullptr, pointers(args).data(), pointers(environment).data());
  posix_spawn_file_actions_destroy(&actions);
  if (code == ENOENT) return fail_f(ErrorCode::kNotFound, "there is no program {} in PATH", args[0]);
  if (code != 0) return fail_f(ErrorCode::kIo, "{}: cannot be started: {}", args[0], std::strerror(code));
  return child;
}

// Hands on what the child writes until it closes both pipes.
Status pump(const ProcessOptions& options, Pipe& out, Pipe& err, std::string& error_text) {
  std::array<std::byte, 1 << 16> buffer;
  while (out.read_end >= 0 || err.read_end >= 0) {
    pollfd ends[2] = {{out.read_end, POLLIN, 0}, {err.read_end, POLLIN, 0}};
    const int ready = ::poll(ends, 2, kPollMs);
    if (ready < 0 && errno != EINTR)
      return fail_f(ErrorCode::kIo, "{}: poll: {}", options.argv[0], std::strerror(errno));
    if (options.keep_going && !options.keep_going()) return fail(ErrorCode::kCancelled, "stopped on request");
    if (ready <= 0) continue;
    for (int i : {0, 1}) {
      if (ends[i].fd < 0 || ends[i].revents == 0) continue;
      const ssize_t n = ::read(ends[i].fd, buffer.data(), buffer.size());
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0) {
        Pipe::close_end(i == 0 ? out.read_end : err.read_end);
      } else if (i == 0) {
        if (options.on_output) QUERN_CHECK_OK(options.on_output(std::span(buffer).first(static_cast<size_t>(n))));
      } else {
        error_text.append(reinterpret_cast<const char*>(buffer.data()), static_cast<size_t>(n));
        if (error_text.size() > kErrorTextLimit) error_text.erase(0, error_text.size() - kErrorTextLimit);
      }
    }
  }
  return {};
}

}  // namespace

Result<ProcessResult> run_process(const ProcessOptions& options) {
  Pipe out, err;
  if (!out.open() || !err.open()) return fail_f(ErrorCode::kIo, "cannot make a pipe: {}", std::strerror(errno));
  QUERN_TRY(const pid_t child, spawn(options, out, err));
  Pipe::close_end(out.write_end);
  Pipe::close_end(err.write_end);

  ProcessResult result;
  const Status pumped = pump(options, out, err, result.error_text);
  if (!pumped) ::kill(child, SIGTERM);
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  if (!pumped) return tl::unexpected<Error>(pumped.error());
  result.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return result;
}

}  // namespace quern
