// The Jinja interpreter beyond the golden cases: limits, sealed values, provenance.
#include <gtest/gtest.h>
#include <pthread.h>

#include <chrono>
#include <fstream>
#include <thread>

#include "core/error.h"
#include "core/limits.h"
#include "text/jinja/json.h"
#include "text/jinja/template.h"

namespace tern::jinja {
namespace {

MarkedText render(std::string_view source, std::string_view data = "null") {
  return Template(source).render({{"data", value_from_json(data)}});
}

// The message that the template ends in, or what it renders.
std::string refusal(std::string_view source, std::string_view data = "null") {
  try {
    return "no error: " + render(source, data).text.substr(0, 200);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kBadInput);
    EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos);
    return error.what();
  }
}

void expect_refused(std::string_view source, std::string_view part, std::string_view data = "null") {
  const auto start = std::chrono::steady_clock::now();
  const std::string message = refusal(source, data);
  EXPECT_NE(message.find(part), std::string::npos) << source.substr(0, 200) << "\n" << message;
  EXPECT_TRUE(message.starts_with("[template]") || message.starts_with("[json]")) << message;
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  EXPECT_LT(seconds, 10.0) << source.substr(0, 200);
}

std::string repeated(std::string_view text, size_t count) {
  std::string out;
  for (size_t i = 0; i < count; ++i) out += text;
  return out;
}

TEST(JinjaLimits, Steps) {
  expect_refused("{% for a in range(100000) %}{% for b in range(100000) %}x{% endfor %}{% endfor %}", "steps");
  expect_refused("{{ range(10**9) }}", "Range too big");
  expect_refused("{{ range(0, 10**18, 1) }}", "Range too big");
  expect_refused("{% for i in range(10**9) %}{% endfor %}", "Range too big");
}

TEST(JinjaLimits, Memory) {
  expect_refused("{{ 'a' * 10**12 }}", "bytes");
  expect_refused("{{ [0] * 10**12 }}", "elements");
  expect_refused("{{ 'ab' * 9223372036854775807 }}", "bytes");
  expect_refused("{% set ns = namespace(s='ab') %}{% for i in range(60) %}{% set ns.s = ns.s ~ ns.s %}{% endfor %}",
                 "");
  expect_refused("{% set ns = namespace(s=[1]) %}{% for i in range(60) %}{% set ns.s = ns.s + ns.s %}{% endfor %}", "");
  expect_refused("{% set a = 'x' * 1000000 %}{% for i in range(1000) %}{{ a }}{% endfor %}", "");
  expect_refused("{{ ('a' * 1000000) | replace('a', 'b' * 1000) }}", "");
  expect_refused(
      "{{ ('a' * 1000000) | indent(1000000, true) | length }}{{ ('\n' * 1000000) | indent(1000, true, true) }}", "");
  expect_refused("{{ ['a' * 1000000] * 1000 | join('a') }}", "");
  expect_refused("{{ 'x'.center(10) if false }}{{ 'x' | center(10**12) }}", "bytes");
  expect_refused("{{ '%999999999d' % 1 if false }}{{ 'a'.zfill(10**12) }}", "bytes");
}

TEST(JinjaLimits, Depth) {
  expect_refused(repeated("{% if 1 %}", 5500) + repeated("{% endif %}", 5500), "nested");
  expect_refused("{{ " + repeated("(", 5000) + "1" + repeated(")", 5000) + " }}", "nested");
  expect_refused("{{ " + repeated("[", 5000) + repeated("]", 5000) + " }}", "nested");
  expect_refused("{{ " + repeated("not ", 50000) + "1 }}", "nested");
  expect_refused("{{ " + repeated("-", 50000) + "1 }}", "nested");
  expect_refused("{{ a" + repeated(".b", 50000) + " }}", "deep");
  expect_refused("{{ 1" + repeated("|abs", 50000) + " }}", "deep");
  expect_refused("{{ 1" + repeated(" if 1 else 1", 50000) + " }}", "nested");
  expect_refused("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", "nested");
  expect_refused("{% macro f(x) %}{{ f([x]) }}{% endmacro %}{{ f(1) }}", "nested");
  expect_refused("{% set ns = namespace(x=[]) %}{% for i in range(1000) %}{% set ns.x = [ns.x] %}{% endfor %}",
                 "nested");
  expect_refused("{% set ns = namespace(x={}) %}{% for i in range(1000) %}{% set ns.x = {'k': ns.x} %}{% endfor %}",
                 "nested");
  expect_refused("{% for i in [[1]] recursive %}{{ loop([[1]]) }}{% endfor %}", "nested");
  expect_refused("{{ data }}", "nested", repeated("[", 100) + repeated("]", 100));
}

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
TEST(JinjaLimits, TheDeepestTemplateFitsASmallStack) {
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  ASSERT_EQ(pthread_attr_setstacksize(&attributes, 1 << 20), 0);
  const auto body = [](void*) -> void* {
    expect_refused("{% macro f(x) %}{{ f([x]) }}{% endmacro %}{{ f(1) }}", "nested");
    expect_refused("{% macro f() %}{{ [f() | trim] | map('upper') | join }}{% endmacro %}{{ f() }}", "nested");
    expect_refused("{% for i in [[1]] recursive %}{% if 1 %}{{ loop([[1]]) }}{% endif %}{% endfor %}", "nested");
    expect_refused(
        "{% macro f() %}{{ caller() }}{% call f() %}x{% endcall %}{% endmacro %}{% call f() %}y{% endcall %}",
        "nested");
    expect_refused("{{ " + repeated("(", 5000) + "1" + repeated(")", 5000) + " }}", "nested");
    expect_refused(repeated("{% if 1 %}", 5500), "nested");
    expect_refused("{{ 1" + repeated("|abs", 50000) + " }}", "deep");
    return nullptr;
  };
  pthread_t thread;
  ASSERT_EQ(pthread_create(&thread, &attributes, body, nullptr), 0);
  pthread_join(thread, nullptr);
  pthread_attr_destroy(&attributes);
}
#endif

TEST(JinjaLimits, LongButFlatIsFine) {
  EXPECT_EQ(render("{{ 0" + repeated(" + 1", 20000) + " }}").text, "20000");
  EXPECT_EQ(render("{{ ''" + repeated(" ~ 'a'", 20000) + " }}").text.size(), 20000u);
  EXPECT_EQ(render("{% if false %}" + repeated("{% elif false %}", 5000) + "{% else %}x{% endif %}").text, "x");
  EXPECT_EQ(render("{% macro f(n) %}{{ n }}{% if n > 0 %}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(40) }}")
                .text.substr(0, 4),
            "4039");
}

TEST(JinjaLimits, ThingsThatReferToThemselves) {
  EXPECT_EQ(render("{% set ns = namespace() %}{% set ns.x = ns %}{% set ns.y = [ns, {'k': ns}] %}ok").text, "ok");
  EXPECT_EQ(render("{% set ns = namespace() %}{% for i in [ns] %}{% set ns.l = loop %}{% set ns.c = loop.changed %}{% "
                   "endfor %}ok")
                .text,
            "ok");
  expect_refused("{% set ns = namespace() %}{% for i in [1] %}{% set ns.c = loop.changed %}{% endfor %}{{ ns.c(1) }}",
                 "outside its loop");
  EXPECT_EQ(
      render(
          "{% set ns = namespace(c=cycler(1)) %}{% for i in range(3000) %}{% set ns.c = cycler(ns.c) %}{% endfor %}ok")
          .text,
      "ok");
  EXPECT_EQ(
      render("{% set ns = namespace() %}{% for i in range(3000) %}{% set ns.n = namespace(p=ns.n) %}{% endfor %}ok")
          .text,
      "ok");
  EXPECT_EQ(render("{% macro f() %}{% macro g() %}x{% endmacro %}{{ g() }}{% endmacro %}{% set h = f %}{{ h() }}").text,
            "x");
}

TEST(JinjaLimits, SmallTemplatesThatGrowExponentially) {
  expect_refused(
      "{% set ns = namespace(x=[1]) %}{% for i in range(60) %}{% set ns.x = [ns.x, ns.x] %}{% endfor %}{{ ns.x }}", "");
  expect_refused(
      "{% set ns = namespace(x=[1]) %}{% for i in range(60) %}{% set ns.x = [ns.x, ns.x] %}{% endfor %}{{ ns.x | "
      "tojson }}",
      "");
  expect_refused(
      "{% set a = namespace(x=[1], y=[1]) %}{% for i in range(60) %}{% set a.x = [a.x, a.x] %}{% set a.y = [a.y, a.y] "
      "%}{% endfor %}{{ a.x == a.y }}",
      "steps");
}

TEST(JinjaSealed, NothingToEscapeTo) {
  for (const char* source :
       {"{{ ''.__class__.__mro__[1].__subclasses__() }}", "{{ data.__init__.__globals__ }}", "{{ range.__self__.x() }}",
        "{{ raise_exception.__globals__['os'].system('id') }}", "{{ cycler.__init__.__globals__.os }}",
        "{{ (data|attr('__class__')).x }}", "{{ [].append(1) }}", "{{ {}.update({}) }}", "{{ data.pop('a') }}",
        "{{ self._TemplateReference__context }}", "{{ lipsum.__globals__['os'].popen('id').read() }}",
        "{{ namespace.__init__.x }}", "{{ data.items.__self__.x }}", "{% include 'x' %}", "{% import 'x' as y %}",
        "{% extends 'x' %}", "{{ '{0.__class__}'.format(1) }}"}) {
    expect_refused(source, "", "{\"a\": 1}");
  }
}

TEST(JinjaErrors, NameTheLine) {
  EXPECT_NE(refusal("a\nb\n{{ x.y }}").find("line 3"), std::string::npos);
  EXPECT_NE(refusal("a\n{% if %}").find("line 2"), std::string::npos);
  EXPECT_NE(refusal("{{ raise_exception('roles must alternate') }}").find("roles must alternate"), std::string::npos);
  EXPECT_NE(refusal("{{ raise_exception('two\nlines') }}").find("two\\x0alines"), std::string::npos);
  expect_refused("{{ 9223372036854775807 + 1 }}", "too large");
  expect_refused("{{ 99999999999999999999 }}", "too large");
  expect_refused("{{ (-9223372036854775807 - 1) // -1 }}", "too large");
  EXPECT_EQ(render("{{ (-9223372036854775807 - 1) % -1 }} {{ "
                   "'abc'[-9223372036854775807:9223372036854775807:9223372036854775807] }}")
                .text,
            "0 a");
}

// The marks of `text`'s bytes as a string of t and u.
std::string marks(const MarkedText& text) {
  EXPECT_EQ(text.text.size(), text.trusted.size());
  std::string out;
  for (const char mark : text.trusted) out.push_back(mark ? 't' : 'u');
  return out;
}

TEST(JinjaProvenance, EveryOperationKeepsTheMarks) {
  const std::string data = R"({"s": "xyz", "sp": "  xy ", "l": ["a", "b"], "n": 12, "k": {"key": "v"}})";
  const auto check = [&](const std::string& source, const std::string& text, const std::string& expected) {
    const MarkedText out = render(source, data);
    EXPECT_EQ(out.text, text) << source;
    EXPECT_EQ(marks(out), expected) << source;
  };
  check("<{{ data.s }}>", "<xyz>", "tuuut");
  check("{{ '<' ~ data.s ~ '>' }}", "<xyz>", "tuuut");
  check("{{ '<' + data.s + '>' }}", "<xyz>", "tuuut");
  check("{{ ('<' + data.s + '>')[1:-1] }}", "xyz", "uuu");
  check("{{ ('<' + data.s + '>')[::-1] }}", ">zyx<", "tuuut");
  check("{{ ('<' + data.s)[0] }}{{ ('<' + data.s)[1] }}", "<x", "tu");
  check("{{ data.sp | trim }}{{ data.sp.strip() }}", "xyxy", "uuuu");
  check("{{ ('<' ~ data.s) | upper }}", "<XYZ", "tuuu");
  check("{{ ('<a' ~ data.s) | title }}", "<Axyz", "ttuuu");
  check("{{ data.s.replace('y', '-') }}", "x-z", "utu");
  check("{{ 'a-b'.replace('-', data.s) }}", "axyzb", "tuuut");
  check("{{ data.l | join('|') }}", "a|b", "utu");
  check("{{ '|'.join(data.l) }}", "a|b", "utu");
  check("{{ (data.s ~ ',' ~ 'q').split(',') | join('') }}", "xyzq", "uuut");
  check("{{ data.s | tojson }}{{ data.n }}", "\"xyz\"12", "uuuuuuu");
  check("{{ {'a': data.s} | tojson }}", R"({"a": "xyz"})", "uutuuuuuuuuu");
  check("{{ data.k.items() | first | first }}", "key", "uuu");
  check("{% set x %}<{{ data.s }}>{% endset %}{{ x }}", "<xyz>", "tuuut");
  check("{% macro m(x) %}<{{ x }}>{% endmacro %}{{ m(data.s) }}", "<xyz>", "tuuut");
  check("{% filter upper %}a{{ data.s }}{% endfilter %}", "AXYZ", "tuuu");
  check("{{ '%s|%s' % ('a', data.s) }}{{ '{}|'.format(data.s) }}", "a|xyzxyz|", "ttuuuuuut");
  check("{{ data.s * 2 ~ 'a' * 2 }}", "xyzxyzaa", "uuuuuutt");
  check("{{ data.s | indent(2, true) }}", "  xyz", "ttuuu");
  check("{{ [data.s] }}", "['xyz']", "uuuuuuu");
  check("{{ data.s | reverse }}{{ data.s | list | last }}{{ data.s | first }}", "zyxzx", "uuuuu");
  check("{{ data.missing | default('d') }}{{ data.s or 'q' }}", "dxyz", "tuuu");
  check("{{ ('<' ~ data.s) | e }}", "&lt;xyz", "ttttuuu");
  check("{{ data.s[0] ~ 'é' | upper }}", "xÉ", "utt");
}

TEST(JinjaTemplate, ManyThreadsRenderOne) {
  const Template shared("{% for x in data %}{{ x.a | upper ~ loop.index }}{% endfor %}");
  const Value data = value_from_json(R"([{"a": "x"}, {"a": "y"}])");
  std::vector<std::jthread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 500; ++i) EXPECT_EQ(shared.render({{"data", data}}).text, "X1Y2");
    });
  }
}

TEST(JinjaJson, StrictAndBounded) {
  for (const char* bad : {"",
                          "{",
                          "[1,]",
                          "{\"a\":}",
                          "{\"a\" 1}",
                          "01",
                          "1.",
                          ".5",
                          "+1",
                          "nul",
                          "\"\\ud800\"",
                          "\"\\udc00\"",
                          "\"\\ud800\\u0041\"",
                          "\"\xff\"",
                          "\"a",
                          "\"\\x\"",
                          "\"\\u12g4\"",
                          "[1] 2",
                          "\"\n\"",
                          "'a'",
                          "\"\\",
                          "\"\\u-123\""}) {
    EXPECT_THROW(value_from_json(bad), Error) << bad;
  }
  EXPECT_EQ(render("{{ data }}", R"([1, -2.5, 1e3, true, null, "\u00e9\ud83d\ude42\n", {"a": {}, "a": 2}])").text,
            "[1, -2.5, 1000.0, True, None, 'é🙂\\n', {'a': 2}]");
}

}  // namespace
}  // namespace tern::jinja
