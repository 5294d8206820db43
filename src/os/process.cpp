#include "os/process.h"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cmath>
#include <csignal>
#include <cstring>

#include "base/clock.h"

extern char** environ;  // POSIX declares it nowhere

namespace quern {

namespace {

constexpr size_t kErrorTextLimit = 8192;
constexpr int kPollMs = 200;
constexpr int kSessionPollMs = 20;  // how late the end of argv[0] is seen where something that it left holds the pipes
constexpr double kGraceS = 0.3;     // between SIGTERM and SIGKILL

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

std::vector<std::string> environment_of(const ProcessOptions& options) {
  std::vector<std::string> result;
  for (const auto& [name, value] : options.environment) result.push_back(name + "=" + value);
  if (options.own_environment) return result;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view text = *entry;
    const std::string_view name = text.substr(0, text.find('='));
    bool replaced = false;
    for (const auto& pair : options.environment) replaced = replaced || pair.first == name;
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

// Closed when it goes.
struct Descriptor {
  explicit Descriptor(int n) : fd(n) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() {
    if (fd >= 0) ::close(fd);
  }
  int fd;
};

// A file in memory that holds the text, its cursor at the beginning: unlike a pipe it needs nobody to feed it, and a
// program that does not read it sends no SIGPIPE here.
Result<int> input_file(const std::string& text) {
  const int fd = ::memfd_create("input", MFD_CLOEXEC);
  size_t done = 0;
  while (fd >= 0 && done < text.size()) {
    const ssize_t n = ::write(fd, text.data() + done, text.size() - done);
    if (n < 0 && errno != EINTR) break;
    if (n > 0) done += static_cast<size_t>(n);
  }
  if (fd >= 0 && done == text.size() && ::lseek(fd, 0, SEEK_SET) == 0) return fd;
  const int code = errno;
  if (fd >= 0) ::close(fd);
  return fail_f(ErrorCode::kResource, "no memory for a program's input: {}", std::strerror(code));
}

struct SpawnSettings {
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;

  SpawnSettings() {
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
  }
  SpawnSettings(const SpawnSettings&) = delete;
  SpawnSettings& operator=(const SpawnSettings&) = delete;
  ~SpawnSettings() {
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
  }

  void own_session() {
    posix_spawn_file_actions_addclosefrom_np(&actions, STDERR_FILENO + 1);
    // A signal that this process ignores would stay ignored in the child.
    sigset_t signals;
    sigemptyset(&signals);
    posix_spawnattr_setsigmask(&attributes, &signals);
    for (const int s : {SIGPIPE, SIGINT, SIGTERM, SIGHUP, SIGQUIT}) sigaddset(&signals, s);
    posix_spawnattr_setsigdefault(&attributes, &signals);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  }
};

bool is_folder(const std::string& path) {
  struct stat info = {};
  return ::stat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode);
}

Result<pid_t> spawn(const ProcessOptions& options, const Pipe& out, const Pipe& err) {
  if (options.argv.empty()) return fail(ErrorCode::kInvalidArgument, "no program is named");
  if (!options.directory.empty() && !is_folder(options.directory)) {
    return fail_f(ErrorCode::kNotFound, "{}: there is no folder {}", options.argv[0], options.directory);
  }
  std::vector<std::string> args = options.argv;
  std::vector<std::string> environment = environment_of(options);
  Descriptor input(-1);
  SpawnSettings settings;
  if (options.input.empty()) {
    posix_spawn_file_actions_addopen(&settings.actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  } else {
    QUERN_TRY(input.fd, input_file(options.input));
    posix_spawn_file_actions_adddup2(&settings.actions, input.fd, STDIN_FILENO);
  }
  posix_spawn_file_actions_adddup2(&settings.actions, out.write_end, STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&settings.actions, err.write_end, STDERR_FILENO);
  if (!options.directory.empty()) posix_spawn_file_actions_addchdir_np(&settings.actions, options.directory.c_str());
  if (options.own_session) settings.own_session();
  pid_t child = -1;
  const int code = ::posix_spawnp(&child, args[0].c_str(), &settings.actions, &settings.attributes,
                                  pointers(args).data(), pointers(environment).data());
  if (code == ENOENT) return fail_f(ErrorCode::kNotFound, "there is no program {} in PATH", args[0]);
  if (code != 0) return fail_f(ErrorCode::kIo, "{}: cannot be started: {}", args[0], std::strerror(code));
  return child;
}

// Whether the child has ended; it stays to be waited for, so that nobody else gets its number.
bool has_ended(pid_t child) {
  siginfo_t info = {};
  return ::waitid(P_PID, static_cast<id_t>(child), &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid == child;
}

// Why the child must end now.
Status may_go_on(const ProcessOptions& options, double deadline) {
  if (options.keep_going && !options.keep_going()) return fail(ErrorCode::kCancelled, "stopped on request");
  if (now_s() >= deadline) {
    return fail_f(ErrorCode::kTimeout, "{} was not done after {:g} s", options.argv[0], options.timeout_s);
  }
  return {};
}

// Hands on what the child writes until it closes both pipes, or, with a session of its own, has ended.
Status pump(const ProcessOptions& options, pid_t child, Pipe& out, Pipe& err, std::string& error_text) {
  const double deadline = options.timeout_s > 0 ? now_s() + options.timeout_s : INFINITY;
  std::array<std::byte, 1 << 16> buffer;
  while (out.read_end >= 0 || err.read_end >= 0) {
    // Asked before the pipes are looked at: what an ended child wrote is then there to be read.
    const bool ended = options.own_session && has_ended(child);
    int wait_ms = options.own_session ? kSessionPollMs : kPollMs;
    if (deadline - now_s() < wait_ms * 1e-3) wait_ms = static_cast<int>(std::max(0.0, deadline - now_s()) * 1e3) + 1;
    pollfd ends[2] = {{out.read_end, POLLIN, 0}, {err.read_end, POLLIN, 0}};
    const int ready = ::poll(ends, 2, ended ? 0 : wait_ms);
    if (ready < 0 && errno != EINTR)
      return fail_f(ErrorCode::kIo, "{}: poll: {}", options.argv[0], std::strerror(errno));
    QUERN_CHECK_OK(may_go_on(options, deadline));
    if (ready == 0 && ended) return {};
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
  // It may close its output and go on.
  while (options.own_session && !has_ended(child)) {
    QUERN_CHECK_OK(may_go_on(options, deadline));
    ::poll(nullptr, 0, 1);
  }
  return {};
}

// Ends the child; with a session of its own, all in it. To be followed by waitpid().
void end_child(const ProcessOptions& options, pid_t child) {
  if (!options.own_session) {
    ::kill(child, SIGTERM);
    return;
  }
  ::kill(-child, SIGTERM);
  for (const double give_up = now_s() + kGraceS; now_s() < give_up && !has_ended(child);) ::poll(nullptr, 0, 5);
}

}  // namespace

Result<ProcessResult> run_process(const ProcessOptions& options) {
  Pipe out, err;
  if (!out.open() || !err.open()) return fail_f(ErrorCode::kIo, "cannot make a pipe: {}", std::strerror(errno));
  QUERN_TRY(const pid_t child, spawn(options, out, err));
  Pipe::close_end(out.write_end);
  Pipe::close_end(err.write_end);

  ProcessResult result;
  const Status pumped = pump(options, child, out, err, result.error_text);
  if (!pumped) end_child(options, child);
  if (options.own_session) ::kill(-child, SIGKILL);  // before waitpid(): until then the group keeps its number
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  if (!pumped) return tl::unexpected<Error>(pumped.error());
  result.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return result;
}

}  // namespace quern
