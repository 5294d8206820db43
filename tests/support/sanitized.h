// Whether the program is instrumented by a sanitizer, and a tenth as fast: loops that only repeat are shorter there.
#pragma once

#ifdef __has_feature  // clang
#define QUERN_HAS_FEATURE(x) __has_feature(x)
#else
#define QUERN_HAS_FEATURE(x) 0
#endif

namespace quern {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || QUERN_HAS_FEATURE(address_sanitizer) || \
    QUERN_HAS_FEATURE(thread_sanitizer)
inline constexpr bool kSanitized = true;
#else
inline constexpr bool kSanitized = false;
#endif

}  // namespace quern
