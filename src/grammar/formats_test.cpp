#include "grammar/formats.h"

#include <gtest/gtest.h>

#include "base/rng.h"
#include "tests/support/ir_match.h"

namespace quern::grammar {
namespace {

Dfa format(std::string_view name) {
  auto dfa = format_dfa(name);
  EXPECT_TRUE(dfa) << dfa.error().message;
  return dfa ? *dfa : Dfa::of({});
}

struct Case {
  std::string_view name;
  std::vector<std::string_view> in, out;
};

TEST(Formats, HoldWhatIsValid) {
  const std::string long_label = std::string(63, 'a'), long_local = std::string(64, 'x');
  const std::string long_mail = long_local + "@mail.example.org", longer_mail = "x" + long_mail,
                    longer_label = long_label + "a";
  const Case cases[] = {
      {"time",
       {"00:00:00Z", "23:59:59.123456Z", "12:30:45+05:30", "12:30:45.1-00:00"},
       {"24:00:00Z", "12:60:00Z", "12:30:60Z", "12:30:45", "12:30Z", "12:30:45.Z", "12:30:45+24:00", "12:30:45z",
        "1:00:00Z"}},
      {"date-time",
       {"2024-02-29T00:00:00Z", "1999-12-31T23:59:59.5+14:00"},
       {"2023-02-29T00:00:00Z", "2024-01-01 00:00:00Z", "2024-01-01T00:00:00", "2024-01-01"}},
      {"duration",
       {"P1Y", "P1Y2M3D", "P2W", "PT1H", "PT1H2M3S", "PT5M", "PT9S", "P1DT12H", "P3M", "P4MT1M"},
       {"P", "PT", "P1YT", "P1D2M", "P1W2D", "PT1H3S", "1D", "P1.5D", "P1Y3D", "PT1S2M"}},
      {"uuid",
       {"2eb8aa08-aa98-11ea-b4aa-73b441d16380", "2EB8AA08-AA98-11EA-B4AA-73B441D16380"},
       {"2eb8aa08aa9811eab4aa73b441d16380", "2eb8aa08-aa98-11ea-b4aa-73b441d1638",
        "2eb8aa08-aa98-11ea-b4aa73b441d16380-", "2eb8aa08-aa98-11ea-b4ga-73b441d16380"}},
      {"email",
       {"joe.bloggs@example.com", "te~st+tag@a-b.example.com", long_mail},
       {"2962", "@example.com", "a@", ".a@example.com", "a.@example.com", "a..b@example.com", "a@b", "a@-b.com",
        "a@b-.com", "a@b..com", "a b@c.de", "a@b.c1", longer_mail, "a@b@c.de"}},
      {"hostname",
       {"www.example.com", "localhost", "a-b.c", "1a.b", long_label},
       {"", ".", "a.", "-a.com", "a-.com", "a..b", "a_b.com", "xn--x.com", "10.0.0.1", longer_label}},
      {"ipv4",
       {"0.0.0.0", "192.168.1.255", "87.10.0.1"},
       {"256.1.1.1", "01.2.3.4", "1.2.3", "1.2.3.4.5", "1.2.3.4 ", "a.b.c.d"}},
      {"ipv6",
       {"::", "::1", "1::", "1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7::", "::2:3:4:5:6:7:8", "12fe::cafe", "1::3:4",
        "ABCD:ef01::", "1:2::7:8"},
       {":", ":::", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9", "1::2::3", "12345::", "::g",
        "1:2:3:4:5:6:7:8::", "::1:2:3:4:5:6:7:8", ":1", "1:", "fe80::1%eth0", ""}},
      {"uri",
       {"http://example.com", "https://a.example:8080/x/y?q=1&r#top", "urn:isbn:0451450523", "mailto:a@b.example",
        "file:/etc/hosts", "ftp://user@host/%20", "http://10.0.0.1:65535/"},
       {"example.com", "//example.com/x", "http://", "http://a b", "1http://x", "http://h:65536/", "a:%zz",
        "http://x/<>", "a:b#c#d", "http://h\xC3\xA9/"}},
      {"json-pointer", {"", "/", "/foo/0", "/a~1b/~0", "//"}, {"foo", "/~", "/~2", "#/a"}},
  };
  for (const Case& c : cases) {
    const Dfa dfa = format(c.name);
    for (const auto text : c.in) EXPECT_TRUE(dfa.matches(text)) << c.name << ": " << text;
    for (const auto text : c.out) EXPECT_FALSE(dfa.matches(text)) << c.name << ": " << text;
  }
}

bool is_date(int year, int month, int day) {
  constexpr int kDays[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  if (year < 1 || month < 1 || month > 12 || day < 1) return false;
  const bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
  return day <= kDays[month - 1] + (leap && month == 2 ? 1 : 0);
}

TEST(Formats, DatesAreThoseOfTheCalendar) {
  const Dfa dfa = format("date");
  for (int year = 0; year <= 9999; year += year % 100 == 0 && year < 9900 && year % 400 != 0 ? 1 : 3) {
    for (int month = 0; month <= 13; month += year % 7 == 0 ? 1 : 2) {
      for (const int day : {0, 1, 9, 28, 29, 30, 31, 32}) {
        const std::string text = fmt::format("{:04}-{:02}-{:02}", year, month, day);
        ASSERT_EQ(dfa.matches(text), is_date(year, month, day)) << text;
      }
    }
  }
  for (int year = 0; year <= 9999; ++year) {
    ASSERT_EQ(dfa.matches(fmt::format("{:04}-02-29", year)), is_date(year, 2, 29)) << year;
  }
  for (const char* text : {"2024-1-01", "24-01-01", "2024/01/01", "02024-01-01", "2024-01-01 ", ""})
    EXPECT_FALSE(dfa.matches(text)) << text;
}

// Each of them has texts, all with an end, that survive a JSON string.
TEST(Formats, CanBeWritten) {
  for (const char* name :
       {"date", "time", "date-time", "duration", "uuid", "email", "idn-email", "hostname", "idn-hostname", "ipv4",
        "ipv6", "uri", "uri-reference", "iri", "iri-reference", "json-pointer"}) {
    const Dfa dfa = format(name);
    IrBuilder builder;
    const auto ir = builder.finish(dfa.write(builder));
    ASSERT_TRUE(ir) << name << ": " << ir.error().message;
    SplitMix64 random(1);
    for (int i = 0; i < 100; ++i) {
      const std::string text = ir_sample(*ir, random, 50);
      ASSERT_TRUE(dfa.matches(text)) << name << ": " << text;
    }
  }
}

// Together with bounds of a length, as in a schema that has both.
TEST(Formats, ComposeWithLengths) {
  for (const auto& [name, most] : std::vector<std::pair<const char*, size_t>>{
           {"email", 40}, {"email", 255}, {"hostname", 253}, {"uri", 60}, {"date-time", 20}}) {
    const auto both = format(name).of_length(5, most);
    ASSERT_TRUE(both) << name << ' ' << most << ": " << both.error().message;
    EXPECT_FALSE(both->empty()) << name << ' ' << most;
    EXPECT_LT(both->states().size(), Dfa::kMaxStates) << name << ' ' << most;
  }
}

TEST(Formats, RefuseOthersByName) {
  const auto dfa = format_dfa("colour");
  ASSERT_FALSE(dfa);
  EXPECT_EQ(dfa.error().code, ErrorCode::kUnsupported);
  EXPECT_NE(dfa.error().message.find("colour"), std::string::npos);
  EXPECT_NE(dfa.error().message.find("date-time"), std::string::npos);
}

}  // namespace
}  // namespace quern::grammar
