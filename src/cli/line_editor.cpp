#include "cli/line_editor.h"

#include <histedit.h>
#include <langinfo.h>
#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <clocale>
#include <cstdio>
#include <cwchar>
#include <string_view>

#include "cli/interrupt.h"
#include "os/terminal.h"

namespace quern::cli {

namespace {

constexpr int kHistoryLines = 1000;
constexpr int kWaitMs = 50;  // how late a Ctrl-C may be seen

void use_utf8() {
  std::setlocale(LC_CTYPE, "");
  if (std::string_view(::nl_langinfo(CODESET)) != "UTF-8") std::setlocale(LC_CTYPE, "C.UTF-8");
}

}  // namespace

class LineEditor::Impl {
 public:
  explicit Impl(std::string path) : path_(std::move(path)) {
    use_utf8();
    // The prompt must not get into an output that is redirected.
    editor_ = ::el_init("quern", stdin, is_terminal(Stream::kOut) ? stdout : stderr, stderr);
    history_ = ::history_init();
    HistEvent event;
    ::history(history_, &event, H_SETSIZE, kHistoryLines);
    ::history(history_, &event, H_SETUNIQUE, 1);
    if (!path_.empty()) ::history(history_, &event, H_LOAD, path_.c_str());
    if (editor_ == nullptr) return;
    ::el_set(editor_, EL_CLIENTDATA, this);
    ::el_set(editor_, EL_PROMPT, prompt_of);
    ::el_set(editor_, EL_GETCFN, get_character);
    ::el_set(editor_, EL_SIGNAL, 0);  // signals are InterruptScope's
    ::el_set(editor_, EL_HIST, ::history, history_);
    ::el_set(editor_, EL_EDITOR, "emacs");
    ::el_source(editor_, nullptr);  // the user's ~/.editrc
  }
  ~Impl() {
    ::history_end(history_);
    if (editor_ != nullptr) ::el_end(editor_);
  }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  Outcome read(const std::string& prompt, std::string& line) {
    line.clear();
    if (editor_ == nullptr) return Outcome::kEnd;
    prompt_ = prompt;
    typed_ = &line;
    int count = 0;
    // libedit would print the prompt first and then take the terminal out of line mode: a Ctrl-D typed in between is
    // the line's end to the terminal, and lost to us.
    ::el_set(editor_, EL_PREP_TERM, 1);
    const char* text = ::el_gets(editor_, &count);
    if (InterruptScope::interrupted()) return Outcome::kInterrupted;
    if (text == nullptr || count <= 0) return Outcome::kEnd;
    line.assign(text, static_cast<size_t>(count));
    while (!line.empty() && (line.back() == '\n' || line.back() == '\r')) line.pop_back();
    return Outcome::kLine;
  }

  void remember(const std::string& line) {
    HistEvent event;
    ::history(history_, &event, H_ENTER, line.c_str());
    if (!path_.empty()) ::history(history_, &event, H_SAVE, path_.c_str());  // readable by the user alone
  }

 private:
  static Impl* self(EditLine* editor) {
    void* data = nullptr;
    ::el_get(editor, EL_CLIENTDATA, &data);
    return static_cast<Impl*>(data);
  }
  static char* prompt_of(EditLine* editor) { return self(editor)->prompt_.data(); }

  // libedit's own reader tries again after a signal, so that Ctrl-C would not be seen. Waits in steps, since a signal
  // may come just before the wait, or go to another thread.
  static int get_character(EditLine* editor, wchar_t* out) {
    std::mbstate_t state{};
    for (;;) {
      if (InterruptScope::interrupted()) {
        const LineInfo* line = ::el_line(editor);
        self(editor)->typed_->assign(line->buffer, line->lastchar);
        return -1;
      }
      pollfd input = {.fd = STDIN_FILENO, .events = POLLIN, .revents = 0};
      if (::poll(&input, 1, kWaitMs) <= 0) continue;
      char byte = 0;
      const ssize_t n = ::read(STDIN_FILENO, &byte, 1);
      if (n == 0) return 0;
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return -1;
      const size_t used = std::mbrtowc(out, &byte, 1, &state);
      if (used == static_cast<size_t>(-2)) continue;                // more bytes belong to it
      if (used == static_cast<size_t>(-1)) *out = wchar_t{0xFFFD};  // no character of this encoding
      return 1;
    }
  }

  std::string path_, prompt_;
  std::string* typed_ = nullptr;
  EditLine* editor_ = nullptr;
  History* history_ = nullptr;
};

LineEditor::LineEditor(std::string history_path) : impl_(std::make_unique<Impl>(std::move(history_path))) {}
LineEditor::~LineEditor() = default;

LineEditor::Outcome LineEditor::read(const std::string& prompt, std::string& line) {
  return impl_->read(prompt, line);
}

void LineEditor::remember(const std::string& line) {
  impl_->remember(line);
}

}  // namespace quern::cli
