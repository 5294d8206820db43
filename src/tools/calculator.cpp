#include "tools/calculator.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <numbers>
#include <vector>

#include "base/nearest.h"

namespace quern::toolbox {

namespace {

constexpr size_t kMaxArguments = 64;

struct Function {
  std::string_view name;
  size_t least, most;  // arguments
  double (*value)(const std::vector<double>& x);
};

constexpr Function kFunctions[] = {
    {"sqrt", 1, 1, [](const std::vector<double>& x) { return std::sqrt(x[0]); }},
    {"abs", 1, 1, [](const std::vector<double>& x) { return std::fabs(x[0]); }},
    {"min", 1, kMaxArguments, [](const std::vector<double>& x) { return *std::min_element(x.begin(), x.end()); }},
    {"max", 1, kMaxArguments, [](const std::vector<double>& x) { return *std::max_element(x.begin(), x.end()); }},
    {"floor", 1, 1, [](const std::vector<double>& x) { return std::floor(x[0]); }},
    {"ceil", 1, 1, [](const std::vector<double>& x) { return std::ceil(x[0]); }},
    {"round", 1, 1, [](const std::vector<double>& x) { return std::round(x[0]); }},
    {"sin", 1, 1, [](const std::vector<double>& x) { return std::sin(x[0]); }},
    {"cos", 1, 1, [](const std::vector<double>& x) { return std::cos(x[0]); }},
    {"ln", 1, 1, [](const std::vector<double>& x) { return std::log(x[0]); }},
    {"exp", 1, 1, [](const std::vector<double>& x) { return std::exp(x[0]); }},
};

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
bool is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

double remainder_as_python(double a, double b) {
  const double r = std::fmod(a, b);
  return r != 0 && (r < 0) != (b < 0) ? r + b : r;
}

class Calculator {
 public:
  explicit Calculator(std::string_view text) : text_(text) {}

  Result<double> run() {
    QUERN_TRY(const double value, expression());
    skip_space();
    if (at_ < text_.size()) return wrong(at_, fmt::format("'{}' is not expected here", text_.substr(at_, 1)));
    return value;
  }

 private:
  using Value = Result<double>;

  [[nodiscard]] tl::unexpected<Error> wrong(size_t at, std::string_view what) const {
    return fail_f(ErrorCode::kInvalidArgument, "at character {}: {}", at + 1, what);
  }

  // Every value on the way is finite: what overflows or has no value is told where it arises.
  [[nodiscard]] Value finite(size_t at, double value) const {
    if (std::isnan(value)) return wrong(at, "this has no real value");
    if (std::isinf(value)) return wrong(at, "this is beyond what a number can hold");
    return value;
  }

  void skip_space() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\t' || text_[at_] == '\n')) ++at_;
  }
  // Takes the operator that comes next, one of `which`; 0 when there is none. "**" is given as '^'.
  char take(std::string_view which) {
    skip_space();
    if (at_ == text_.size()) return 0;
    const bool power = text_.substr(at_, 2) == "**";
    const char c = power ? '^' : text_[at_];
    if (which.find(c) == std::string_view::npos) return 0;
    at_ += power ? 2 : 1;
    return c;
  }

  Value expression() {
    QUERN_TRY(double value, term());
    for (;;) {
      const size_t at = at_;
      const char op = take("+-");
      if (op == 0) return value;
      QUERN_TRY(const double right, term());
      QUERN_TRY(value, finite(at, op == '+' ? value + right : value - right));
    }
  }

  Value term() {
    QUERN_TRY(double value, sign());
    for (;;) {
      const size_t at = at_;
      const char op = take("*/%");
      if (op == 0) return value;
      QUERN_TRY(const double right, sign());
      if (op != '*' && right == 0) return wrong(at, "division by zero");
      QUERN_TRY(value, finite(at, op == '*'   ? value * right
                                  : op == '/' ? value / right
                                              : remainder_as_python(value, right)));
    }
  }

  Value sign() {
    bool negative = false;
    while (const char op = take("+-")) negative ^= op == '-';
    QUERN_TRY(const double value, power());
    return negative ? -value : value;
  }

  Value power() {
    QUERN_TRY(const double base, atom());
    const size_t at = at_;
    if (take("^") == 0) return base;
    if (++depth_ > kMaxExpressionDepth) return too_deep();
    QUERN_TRY(const double exponent, sign());
    --depth_;
    if (base == 0 && exponent < 0) return wrong(at, "division by zero");
    return finite(at, std::pow(base, exponent));
  }

  Value atom() {
    skip_space();
    if (at_ == text_.size()) return wrong(at_, "the expression ends too early");
    const char c = text_[at_];
    if (is_digit(c) || c == '.') return number();
    if (is_letter(c)) return name();
    if (take("(") == 0) return wrong(at_, fmt::format("a number is wanted, not '{}'", text_.substr(at_, 1)));
    if (++depth_ > kMaxExpressionDepth) return too_deep();
    QUERN_TRY(const double value, expression());
    --depth_;
    if (take(")") == 0) return wrong(at_, "')' is missing");
    return value;
  }

  Value number() {
    double value = 0;
    const char* begin = text_.data() + at_;
    const auto [end, error] = std::from_chars(begin, text_.data() + text_.size(), value);
    if (error == std::errc::result_out_of_range) return wrong(at_, "this number is too large or too small");
    if (error != std::errc{}) return wrong(at_, "this is not a number");
    at_ += static_cast<size_t>(end - begin);
    return value;
  }

  Value name() {
    const size_t at = at_;
    while (at_ < text_.size() && (is_letter(text_[at_]) || is_digit(text_[at_]))) ++at_;
    const std::string_view word = text_.substr(at, at_ - at);
    if (word == "pi") return std::numbers::pi;
    if (word == "e") return std::numbers::e;
    const Function* function =
        std::find_if(std::begin(kFunctions), std::end(kFunctions), [&](const Function& f) { return f.name == word; });
    if (function == std::end(kFunctions)) return unknown(at, word);
    QUERN_TRY(const std::vector<double> arguments, arguments_of(*function));
    return finite(at, function->value(arguments));
  }

  Result<std::vector<double>> arguments_of(const Function& function) {
    const size_t at = at_;
    if (take("(") == 0) return wrong(at_, fmt::format("'(' is missing after {}", function.name));
    if (++depth_ > kMaxExpressionDepth) return too_deep();
    std::vector<double> values;
    do {
      QUERN_TRY(const double value, expression());
      values.push_back(value);
    } while (values.size() <= function.most && take(",") != 0);
    --depth_;
    if (values.size() < function.least || values.size() > function.most) {
      return wrong(at, fmt::format("{} takes {} {}", function.name, function.most,
                                   function.most == 1 ? "argument" : "arguments at most"));
    }
    if (take(")") == 0) return wrong(at_, "')' is missing");
    return values;
  }

  [[nodiscard]] tl::unexpected<Error> unknown(size_t at, std::string_view word) const {
    std::vector<std::string_view> names = {"pi", "e"};
    for (const Function& f : kFunctions) names.push_back(f.name);
    const auto nearest = nearest_name(word, names);
    return wrong(at, fmt::format("there is no '{}' here{}", word.substr(0, 30),
                                 nearest ? fmt::format(": did you mean {}?", *nearest) : ""));
  }
  [[nodiscard]] tl::unexpected<Error> too_deep() const {
    return wrong(at_, fmt::format("nested deeper than {} levels", kMaxExpressionDepth));
  }

  const std::string_view text_;
  size_t at_ = 0;
  size_t depth_ = 0;
};

}  // namespace

Result<double> calculate(std::string_view expression) {
  if (expression.size() > kMaxExpressionBytes) {
    return fail_f(ErrorCode::kInvalidArgument, "the expression has {} bytes; at most {}", expression.size(),
                  kMaxExpressionBytes);
  }
  return Calculator(expression).run();
}

std::string number_text(double value) {
  constexpr double kAllWhole = 9007199254740992;  // 2^53
  if (value == std::floor(value) && std::fabs(value) < kAllWhole) return fmt::format("{:.0f}", value + 0.0);
  return fmt::format("{:.15g}", value);
}

}  // namespace quern::toolbox
