#include "grammar/formats.h"

#include <string>

#include "grammar/regex.h"

namespace quern::grammar {
namespace {

// RFC 3339, 5.6, with the months' lengths (5.7). Year 0 and the second 60 are valid there, yet few programs read them.
#define QUERN_DATE                                       \
  "(?:(?:000[1-9]|00[1-9]\\d|0[1-9]\\d\\d|[1-9]\\d{3})-" \
  "(?:(?:0[13578]|1[02])-(?:0[1-9]|[12]\\d|3[01])|"      \
  "(?:0[469]|11)-(?:0[1-9]|[12]\\d|30)|"                 \
  "02-(?:0[1-9]|1\\d|2[0-8]))|"                          \
  "(?:\\d\\d(?:0[48]|[2468][048]|[13579][26])|(?:0[48]|[2468][048]|[13579][26])00)-02-29)"
#define QUERN_TIME "(?:[01]\\d|2[0-3]):[0-5]\\d:[0-5]\\d(?:\\.\\d{1,6})?(?:Z|[+-](?:[01]\\d|2[0-3]):[0-5]\\d)"

#define QUERN_BYTE "(?:\\d|[1-9]\\d|1\\d\\d|2[0-4]\\d|25[0-5])"
#define QUERN_IPV4 QUERN_BYTE "(?:\\." QUERN_BYTE "){3}"
// RFC 4291, 2.2: forms 1 and 2.
#define QUERN_H16 "[0-9A-Fa-f]{1,4}"
#define QUERN_IPV6                                                                                                     \
  "(?:(?:" QUERN_H16 ":){7}" QUERN_H16 "|(?:" QUERN_H16 ":){1,7}:|(?:" QUERN_H16 ":){1,6}:" QUERN_H16 "|(?:" QUERN_H16 \
  ":){1,5}(?::" QUERN_H16 "){2}|(?:" QUERN_H16 ":){1,4}(?::" QUERN_H16 "){3}|(?:" QUERN_H16 ":){1,3}(?::" QUERN_H16    \
  "){4}|(?:" QUERN_H16 ":){1,2}(?::" QUERN_H16 "){5}|" QUERN_H16 ":(?::" QUERN_H16 "){6}|:(?::" QUERN_H16 "){1,7}|::)"

// RFC 1123, 2.1. No "--": in its third and fourth place it would say that the label is Punycode.
#define QUERN_LABEL "[0-9A-Za-z]+(?:-[0-9A-Za-z]+)*"
// The last label has letters alone, so that no host name looks like an address.
#define QUERN_HOST "(?:" QUERN_LABEL "\\.)*[A-Za-z]+"

// RFC 5321, 4.1.2: Dot-string "@" Domain, of two labels or more.
#define QUERN_ATOM "[0-9A-Za-z!#$%&'*+/=?^_`{|}~-]+"
#define QUERN_EMAIL QUERN_ATOM "(?:\\." QUERN_ATOM ")*@(?:" QUERN_LABEL "\\.)+[A-Za-z]{2,}"

// RFC 3986, appendix A; an authority has a host that is a name or an IPv4 address and a port of 16 bits.
#define QUERN_PCHAR "(?:[0-9A-Za-z._~!$&'()*+,;=:@-]|%[0-9A-Fa-f]{2})"
#define QUERN_PORT "(?:[1-9]\\d{0,3}|[1-5]\\d{4}|6[0-4]\\d{3}|65[0-4]\\d\\d|655[0-2]\\d|6553[0-5])"
#define QUERN_AUTHORITY \
  "(?:(?:[0-9A-Za-z._~-]|%[0-9A-Fa-f]{2})+@)?(?:" QUERN_HOST "|" QUERN_IPV4 ")(?::" QUERN_PORT ")?"
#define QUERN_PATH "(?:/" QUERN_PCHAR "*)*"
#define QUERN_TAIL "(?:[?](?:" QUERN_PCHAR "|[/?])*)?(?:#(?:" QUERN_PCHAR "|[/?])*)?"
#define QUERN_URI                                                                                            \
  "[A-Za-z][0-9A-Za-z+.-]*:(?://" QUERN_AUTHORITY QUERN_PATH "|/" QUERN_PCHAR "+" QUERN_PATH "|" QUERN_PCHAR \
  "+" QUERN_PATH ")" QUERN_TAIL

// RFC 3339, appendix A.
#define QUERN_TIME_UNITS "T(?:\\d{1,9}H(?:\\d{1,9}M(?:\\d{1,9}S)?)?|\\d{1,9}M(?:\\d{1,9}S)?|\\d{1,9}S)"
#define QUERN_DURATION                                                                                  \
  "P(?:(?:\\d{1,9}Y(?:\\d{1,9}M(?:\\d{1,9}D)?)?|\\d{1,9}M(?:\\d{1,9}D)?|\\d{1,9}D)(?:" QUERN_TIME_UNITS \
  ")?|" QUERN_TIME_UNITS "|\\d{1,9}W)"

struct Format {
  std::string_view name, pattern;
  std::string_view bounds = "";  // a second pattern that holds too, where there is one: lengths
};

constexpr Format kFormats[] = {
    {"date", QUERN_DATE},
    {"time", QUERN_TIME},
    {"date-time", QUERN_DATE "T" QUERN_TIME},
    {"duration", QUERN_DURATION},
    {"uuid", "[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}"},
    // A domain of 63 characters has no label that is longer.
    {"email", QUERN_EMAIL, "[^@]{1,64}@[^@]{1,63}"},
    {"idn-email", QUERN_EMAIL, "[^@]{1,64}@[^@]{1,63}"},
    {"hostname", QUERN_HOST, "[^]{1,63}"},
    {"idn-hostname", QUERN_HOST, "[^]{1,63}"},
    {"ipv4", QUERN_IPV4},
    {"ipv6", QUERN_IPV6},
    {"uri", QUERN_URI},
    {"uri-reference", QUERN_URI},
    {"iri", QUERN_URI},
    {"iri-reference", QUERN_URI},
    {"json-pointer", "(?:/(?:[^~/]|~[01])*)*"},
};

}  // namespace

Result<Dfa> format_dfa(std::string_view name) {
  std::string known;
  for (const Format& format : kFormats) {
    known += known.empty() ? "" : ", ";
    known += format.name;
    if (format.name != name) continue;
    QUERN_TRY(Dfa dfa, regex_dfa(format.pattern, {.whole = true}));
    if (format.bounds.empty()) return dfa;
    QUERN_TRY(const Dfa bounds, regex_dfa(format.bounds, {.whole = true}));
    return Dfa::intersection(dfa, bounds);
  }
  return fail_f(ErrorCode::kUnsupported, "the format \"{}\" is not supported: {} are", name, known);
}

}  // namespace quern::grammar
