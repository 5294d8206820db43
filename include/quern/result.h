// Result and Error: how every fallible call of quern answers.
//
// The library does not throw, print, exit or abort because of input: a call that can fail returns Result<T>. A message
// says what failed, where, and what to do. Thread rules: values, no sharing.
#pragma once

#include <cstdint>
#include <string>
#include <tl/expected.hpp>
#include <utility>

namespace quern {

enum class ErrorCode : uint8_t {
  kInvalidArgument,  // the caller's parameter is wrong
  kCorrupt,          // a file or message is damaged or hostile
  kNotFound,         // no such file, model, tensor or key
  kUnsupported,      // well-formed, but this build or machine cannot do it
  kTooLong,          // a prompt does not fit the context
  kResource,         // memory, disk or a limit is used up
  kIo,               // the operating system refused a read, write or connection
  kCancelled,        // stopped on request
  kBusy,             // a queue or a rate is full: the same call may succeed later
  kTimeout,          // the deadline passed before it was done
};

struct Error {
  ErrorCode code = ErrorCode::kInvalidArgument;
  std::string message;
};

template <class T>
using Result = tl::expected<T, Error>;
using Status = tl::expected<void, Error>;

inline tl::unexpected<Error> fail(ErrorCode code, std::string message) {
  return tl::unexpected<Error>(Error{code, std::move(message)});
}

}  // namespace quern
