#include "grammar/formats.h"

#include <iterator>
#include <mutex>
#include <optional>
#include <string>

#include "grammar/regex.h"

namespace quern::grammar {
namespace {

struct Named {
  std::string_view name, pattern;
};

// Patterns in which <name> stands for another of them.
constexpr Named kParts[] = {
    // RFC 3339, 5.6 and 5.7. Year 0 and second 60 are valid there, yet few programs read them.
    {"year", R"(000[1-9]|00[1-9]\d|0[1-9]\d\d|[1-9]\d{3})"},
    {"leap-year", R"(\d\d(?:0[48]|[2468][048]|[13579][26])|(?:0[48]|[2468][048]|[13579][26])00)"},
    {"day-of-31", R"((?:0[13578]|1[02])-(?:0[1-9]|[12]\d|3[01]))"},
    {"day-of-30", R"((?:0[469]|11)-(?:0[1-9]|[12]\d|30))"},
    {"day-of-28", R"(02-(?:0[1-9]|1\d|2[0-8]))"},
    {"date", R"(<year>-(?:<day-of-31>|<day-of-30>|<day-of-28>)|<leap-year>-02-29)"},
    {"hour-minute", R"((?:[01]\d|2[0-3]):[0-5]\d)"},
    {"time", R"(<hour-minute>:[0-5]\d(?:\.\d{1,6})?(?:Z|[+-]<hour-minute>))"},
    // RFC 3339, appendix A.
    {"n", R"(\d{1,6})"},
    {"hours-on", R"(<n>H(?:<n>M(?:<n>S)?)?|<n>M(?:<n>S)?|<n>S)"},
    {"years-on", R"(<n>Y(?:<n>M(?:<n>D)?)?|<n>M(?:<n>D)?|<n>D)"},
    {"duration", R"(P(?:<years-on>(?:T<hours-on>)?|T<hours-on>|<n>W))"},
    {"byte", R"(\d|[1-9]\d|1\d\d|2[0-4]\d|25[0-5])"},
    {"ipv4", R"(<byte>(?:\.<byte>){3})"},
    // RFC 4291, 2.2: forms 1 and 2.
    {"h", R"([0-9A-Fa-f]{1,4})"},
    {"ipv6", R"((?:<h>:){7}<h>|(?:<h>:){1,7}:|(?:<h>:){1,6}:<h>|(?:<h>:){1,5}(?::<h>){2}|(?:<h>:){1,4}(?::<h>){3})"
             R"(|(?:<h>:){1,3}(?::<h>){4}|(?:<h>:){1,2}(?::<h>){5}|<h>:(?::<h>){6}|:(?::<h>){1,7}|::)"},
    // RFC 1123, 2.1. No "--", which may say that a label is Punycode; a last label of letters, so that no name looks
    // like
    // an address.
    {"label", R"([0-9A-Za-z]+(?:-[0-9A-Za-z]+)*)"},
    {"host", R"((?:<label>\.)*[A-Za-z]+)"},
    // RFC 5321, 4.1.2: Dot-string "@" Domain, of two labels or more.
    {"atom", R"([0-9A-Za-z!#$%&'*+/=?^_`{|}~-]+)"},
    {"email", R"(<atom>(?:\.<atom>)*@(?:<label>\.)+[A-Za-z]{2,})"},
    // RFC 3986, appendix A; an authority has a host that is a name or an IPv4 address, and a port of 16 bits.
    {"pchar", R"([0-9A-Za-z._~!$&'()*+,;=:@-]|%[0-9A-Fa-f]{2})"},
    {"port", R"([1-9]\d{0,3}|[1-5]\d{4}|6[0-4]\d{3}|65[0-4]\d\d|655[0-2]\d|6553[0-5])"},
    {"user", R"((?:[0-9A-Za-z._~-]|%[0-9A-Fa-f]{2})+@)"},
    {"authority", R"(<user>?(?:<host>|<ipv4>)(?::<port>)?)"},
    {"path", R"((?:/<pchar>*)*)"},
    {"tail", R"((?:[?](?:<pchar>|[/?])*)?(?:#(?:<pchar>|[/?])*)?)"},
    {"uri", R"([A-Za-z][0-9A-Za-z+.-]*:(?://<authority><path>|/<pchar>+<path>|<pchar>+<path>)<tail>)"},
};

struct Format {
  std::string_view name, pattern;
  std::string_view bounds = "";  // a second pattern that holds too, where there is one: lengths
};

// A domain of 63 characters has no label that is longer.
constexpr Format kFormats[] = {
    {"date", "<date>"},
    {"time", "<time>"},
    {"date-time", "<date>T<time>"},
    {"duration", "<duration>"},
    {"uuid", "[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}"},
    {"email", "<email>", "[^@]{1,64}@[^@]{1,63}"},
    {"idn-email", "<email>", "[^@]{1,64}@[^@]{1,63}"},
    {"hostname", "<host>", "[^]{1,63}"},
    {"idn-hostname", "<host>", "[^]{1,63}"},
    {"ipv4", "<ipv4>"},
    {"ipv6", "<ipv6>"},
    {"uri", "<uri>"},
    {"uri-reference", "<uri>"},
    {"iri", "<uri>"},
    {"iri-reference", "<uri>"},
    {"json-pointer", "(?:/(?:[^~/]|~[01])*)*"},
};

std::string expanded(std::string_view pattern) {
  std::string made;
  for (size_t pos = 0; pos < pattern.size(); ++pos) {
    if (pattern[pos] != '<') {
      made += pattern[pos];
      continue;
    }
    const size_t end = pattern.find('>', pos);
    const std::string_view name = pattern.substr(pos + 1, end - pos - 1);
    for (const Named& part : kParts) {
      if (part.name == name) made += "(?:" + expanded(part.pattern) + ")";
    }
    pos = end;
  }
  return made;
}

Result<Dfa> make(const Format& format) {
  QUERN_TRY(Dfa dfa, regex_dfa(expanded(format.pattern), {.whole = true}));
  if (format.bounds.empty()) return dfa;
  QUERN_TRY(const Dfa bounds, regex_dfa(format.bounds, {.whole = true}));
  return Dfa::intersection(dfa, bounds);
}

// Each is made when it is asked for first, which takes up to a millisecond, and kept: there are few, and all are small.
const Result<Dfa>& made(size_t format) {
  static std::once_flag once[std::size(kFormats)];
  static std::optional<Result<Dfa>> all[std::size(kFormats)];
  std::call_once(once[format], [format] { all[format].emplace(make(kFormats[format])); });
  return *all[format];
}

}  // namespace

Result<Dfa> format_dfa(std::string_view name) {
  std::string known;
  for (size_t i = 0; i < std::size(kFormats); ++i) {
    if (kFormats[i].name == name) return made(i);
    known += known.empty() ? "" : ", ";
    known += kFormats[i].name;
  }
  return fail_f(ErrorCode::kUnsupported, "the format \"{}\" is not supported: {} are", name, known);
}

}  // namespace quern::grammar
