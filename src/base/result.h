// Result, with the two macros that hand errors upwards. See include/quern/result.h for the contract.
#pragma once

#include <fmt/format.h>

#include "quern/result.h"

namespace quern {

// fail_f(code, "format {}", args...): an error with a formatted message.
template <class... Args>
tl::unexpected<Error> fail_f(ErrorCode code, fmt::format_string<Args...> format, Args&&... args) {
  return fail(code, fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace quern

#define QUERN_CONCAT_INNER(a, b) a##b
#define QUERN_CONCAT(a, b) QUERN_CONCAT_INNER(a, b)

// QUERN_TRY(declaration, expression): evaluates a Result, returns its error to the caller or binds its value.
#define QUERN_TRY(decl, expr)                                                                     \
  auto QUERN_CONCAT(quern_try_, __LINE__) = (expr);                                               \
  if (!QUERN_CONCAT(quern_try_, __LINE__))                                                        \
    return tl::unexpected<::quern::Error>(std::move(QUERN_CONCAT(quern_try_, __LINE__)).error()); \
  decl = std::move(*QUERN_CONCAT(quern_try_, __LINE__))

// QUERN_CHECK_OK(expression): evaluates a Status, returns its error to the caller.
#define QUERN_CHECK_OK(expr)                                                                     \
  do {                                                                                           \
    auto quern_status_ = (expr);                                                                 \
    if (!quern_status_) return tl::unexpected<::quern::Error>(std::move(quern_status_).error()); \
  } while (false)
