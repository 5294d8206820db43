#!/usr/bin/env python3
"""Writes src/chat/testdata/jinja_cases.json: small templates with what real Jinja2 makes of them.

Needs the package jinja2 (3.1). The environment is the one that chat templates are rendered in: sandboxed and immutable,
trim_blocks, lstrip_blocks, loop controls, the `generation` tag, tojson as json.dumps without ASCII escapes.
A case is a template, or a (template, context) pair; the context defaults to CONTEXT.
"""
import datetime
import json
import pathlib

import jinja2
import jinja2.ext
import jinja2.sandbox

CONTEXT = {
    "s": "Hello, World", "u": "héllo wörld 我想 ß", "e": "", "n": 7, "neg": -7, "z": 0, "f": 2.5, "t": True, "fa": False, "no": None,
    "l": [3, 1, 2], "ls": ["b", "A", "c", "a"], "le": [], "nested": [[1, 2], [3, 4]], "html": "<b>\"x\" & 'y'</b>",
    "d": {"b": 1, "a": 2, "C": 3}, "de": {}, "items_key": {"items": 5, "x": 6},
    "users": [{"name": "Ann", "age": 30, "city": "Rome"}, {"name": "bob", "age": 25, "city": "rome"},
              {"name": "Cid", "age": 30, "city": "Oslo", "x": {"y": [1, 2]}}],
    "text": "  The quick brown-fox\njumps  over\n\nthe lazy dog ", "big": 9007199254740993,
}

EXPRESSIONS = """
1 + 2|7 // 2|-7 // 2|7 // -2|7 % 3|-7 % 3|7 % -3|7 / 2|6 / 3|2 ** 10|2 ** -1|2 ** 0.5|-2 ** 2|7.5 // 2|-7.5 // 2|7.5 % 2|-7.5 % 2|1e3|1.5e-7|1e16|1e15|123456789.125|0.1 + 0.2|1e22|1e100|100000000000000000000.0
1 / 3|-0.0|3.0|1_000|0x1f|0b101|0o17|1e400|-1e400|True + True|t + 1|1 == 1.0|1 == true|'1' == 1|[1] == [1.0]|(1,) == [1]|none == none|undefinedname == othername|big + 0|big == 9007199254740992.0
1 / 0|1 // 0|1 % 0|1.0 / 0|0 ** -1|10 ** 18|10.0 ** 400|'a' + 1|1 + 'a'|[1] + (2,)|none + 1|-'a'|+'a'|-none|+true|-true
'a' 'b' "c"|'a' * 3|3 * 'ab'|'a' * -1|[1, 2] * 2|(1,) * 2|[1] + [2]|(1,) + (2, 3)|'a' ~ 1 ~ none ~ true ~ 1.0 ~ [1]|1 ~ 2|'a' < 'b'|'a' < 'B'|[1, 2] < [1, 3]|(1, 2) < (1, 2, 0)|1 < 2 < 3|1 < 3 < 2|3 > 2 >= 2 != 1|1 < 'a'|none < 1|{} < {}
1 in [1, 2]|'a' in 'abc'|'' in 'abc'|1 in 'abc'|'a' in d|'zz' not in d|1 in (1, 2)|1 in none|1 in 5|1 in missing|not 1|not missing|not not s|1 and 2|0 and 2|0 or 'x'|none or missing|'' or [] or {}|1 if t else 2|1 if fa|1 if fa else 2 if fa else 3|(1 if fa) is defined
s[0]|s[-1]|s[99]|s[1:4]|s[:-1]|s[::-1]|s[::2]|s[-3:]|s[5:2]|s[10:0:-3]|u[1]|u[12:14]|u[::-1]|l[0]|l[-1]|l[9]|l[1:]|l[::-1]|l[-2:]|l[:1] + l[1:]|(1, 2, 3)[1:]|l['0']|l['append']|d['b']|d.b|d['zz']|d.zz|d.zz.y|d['zz']['y']|d.items|5[0]|5[1:2]|d[1:2]|l[::0]|l['a':]|missing[0]|missing.x|missing[1:]|none.x|none['x']|none.x.y
nested[1][0]|nested.1.0|users[0].name|users.0['age']|users[2].x.y[1]|users[0].x|users[0].x.y|items_key.items|items_key['items']|items_key.x|s.foo|s['upper']()|[][0]|{}['a']|{'a': 1}|{'a': 1, 2: none, 1.5: [1, 'x'], true: (1,)}|{1: 'a', 1.0: 'b', true: 'c'}|{[1]: 2}|{(1, 2): 3}|()|(1,)|(1, 2)|[1, (2,), {'x': none}]|['a\\'b', "a\\"b", 'a\\'"b']|['\\n\\t\\\\\\x01\\x7f', 'é', '\\u200b', '\\U0001f600']|'\\x41\\u00e9\\101\\q'|"it's"
none|true|false|True|None|missing|[missing]|[none, true]|1.0|[1.0, 1e-5, 1e20]|range(3)|range(1, 10, 3)|range(5)[1:3]|range(5)[::-1]|range(10)[-1]|range(3) | list|range(5, 0, -2) | list|range(0) | list|range(100001)|range(10**12)|range(1, 2, 0)|range(3) == range(0, 3)|3 in range(5)|range(3)|length|namespace(a=1)|namespace({'a': 1}, b=2).b|namespace(a=1).zz|dict(a=1, b=2)|dict([('a', 1)])|dict({'a': 1}, b=3)|cycler('a', 'b').next()|joiner()()|raise_exception('no')|strftime_now('%Y-%m-%d %H:%M:%S')|strftime_now('%d %b %Y, %A %B %-d %j %p %I %y')|strftime_now('%f|%z|%%|%Z')|missing()|s()|5()
""".strip()

FILTERS = """
-5|abs|-2.5|abs|'a'|abs|missing|abs|true|abs|l|batch(2)|list|l|batch(2, 'x')|list|l|batch(5, 0)|list|'abc'|batch(2)|list|'hello wORLD'|capitalize|'éA'|capitalize|missing|capitalize|5|capitalize|'ab'|center(7)|'abc'|center(6)|'ab'|center(5)|'x'|center(0)|missing|default('q')|missing|d|none|default('q')|none|default('q', true)|''|d('q', boolean=true)|0|default(5, true)|users[0].zip|default('nozip')
d|dictsort|d|dictsort(true)|d|dictsort(false, 'value')|d|dictsort(reverse=true)|d|dictsort(by='zz')|l|dictsort|missing|dictsort|html|escape|html|e|html|e|e|html|safe|(html|e) ~ '<'|(html|safe) + '<i>'|'<i>' + (html|safe)|'<'|e|upper|html|forceescape|html|e|forceescape|['<'|e]|'<'|e is escaped|'<' is escaped
500|filesizeformat|1|filesizeformat|1500|filesizeformat|1500000|filesizeformat|2048|filesizeformat(true)|l|first|''|first|le|first|missing|first|d|first|5|first|'3.5'|float|'x'|float|'x'|float(1.5)|'1e3'|float|' 7 '|float|none|float|true|float|missing|float|'inf'|float|'1_0'|float|'%s-%d'|format('a', 5)|'%(x)s'|format(x=1)|'%s %s'|format('a')|'%s'|format('a', 'b')|'%5.2f|%-5d|%05d|%+d|%x|%X|%o|%e|%g|%c|%%|%r'|format(3.14159, 42, 42, 42, 255, 255, 8, 12345.678, 0.0001, 65, 'q')|'%.3s|%10s|%-10s|'|format('abcdef', 'x', 'y')|'%d'|format('x')|'%d'|format(2.9)|'%z'|format(1)
users|groupby('city')|list|users|groupby('city', case_sensitive=true)|map('first')|list|(users|groupby('age'))[0].grouper|(users|groupby('age'))[0].list|length|users|groupby('zip', default='none')|map(attribute='grouper')|list|'a\\nb\\n\\nc'|indent|'a\\nb\\n\\nc'|indent(2, true)|'a\\nb\\n\\nc'|indent(2, blank=true)|'a\\nb'|indent('> ', first=true)|''|indent(2, true)|'a\\n'|indent|5|indent|missing|indent
'42'|int|'42.7'|int|'x'|int|'x'|int(9)|'ff'|int(base=16)|'0x1f'|int(0, 16)|'0b11'|int(base=0)|2.9|int|-2.9|int|none|int|true|int|missing|int|'1_000'|int|' 12 '|int|''|int|'1e3'|int|'99999999999999999999'|length|d|items|list|missing|items|list|l|items|list|[('a', 1)]|items|list
l|join|l|join(', ')|users|join('/', attribute='name')|'abc'|join('-')|d|join|missing|join|5|join|[1, none, 'x', 2.0]|join('|')|l|last|''|last|missing|last|d|last|range(3)|last|l|map('string')|last|l|length|s|length|u|length|d|count|missing|length|5|length|none|length|'abc'|list|d|list|missing|list|5|list|(1, 2)|list|'ÀB'|lower|5|lower|missing|lower|none|lower
ls|map('upper')|list|users|map(attribute='name')|list|users|map(attribute='x.y.0', default='-')|list|users|map(attribute='age')|sum|users|map('attr', 'name')|list|l|map('nofilter')|list|le|map('nofilter')|list|l|map|list|l|map(foo=1)|list|ls|map('replace', 'a', 'z')|join|l|max|ls|max|ls|min|ls|max(case_sensitive=true)|users|max(attribute='age')|users|min(attribute='name')|le|max|[1, 'a']|max|'abc'|max|5|max
l|reject('odd')|list|users|rejectattr('x')|map(attribute='name')|list|users|rejectattr('age', 'eq', 30)|list|length|'abab'|replace('a', 'x')|'abab'|replace('a', 'x', 1)|'ab'|replace('', '-')|5|replace(5, 6)|'a'|replace('a')|l|reverse|list|'abc'|reverse|u|reverse|(1, 2)|reverse|list|missing|reverse|list|5|reverse|d|reverse|list
42.55|round|42.55|round(1)|42.55|round(1, 'floor')|42.55|round(1, 'ceil')|42|round|2.5|round|3.5|round|-2.5|round|2.675|round(2)|1234.5|round(-2)|1250|round(-2)|1350|round(-2)|42|round(1, 'floor')|1|round(method='zz')|'a'|round|true|round|missing|round|[0, 1, '', none, 'x']|select|list|range(10)|select('divisibleby', 3)|list|users|selectattr('age', 'gt', 26)|map(attribute='name')|list|users|selectattr('x')|list|length|users|selectattr('name', 'equalto', 'bob')|first|missing|select|list|l|select('notest')|list
[1, 2, 3, 4, 5]|slice(3)|list|[1, 2, 3, 4, 5]|slice(3, 'x')|list|l|slice(0)|list|l|sort|l|sort(reverse=true)|ls|sort|ls|sort(case_sensitive=true)|users|sort(attribute='age,name')|map(attribute='name')|list|users|sort(attribute='name', reverse=true)|map(attribute='name')|list|[1, 'a']|sort|missing|sort|'cab'|sort|d|sort|5|string|none|string|missing|string|l|string|1.0|string|'<a href="x">link</a>  <!-- c --> &lt;x&gt; y'|striptags|l|sum|users|sum(attribute='age')|l|sum(start=10)|le|sum|['a']|sum|[[1], [2]]|sum(start=[])|[0.1, 0.2]|sum
"hello wORLD it's a-b (c) [d]"|title|5|title|missing|title|text|trim|'xxaxx'|trim('x')|missing|trim|5|trim|'hello world foo'|truncate(9)|'hello world foo'|truncate(9, true)|'hello world foo'|truncate(9, false, '!', 0)|'hello world'|truncate(9)|'hello world'|truncate(5, leeway=0)|'ab'|truncate(1)|ls|unique|list|['a', 'A', 'b']|unique|list|['a', 'A']|unique(true)|list|users|unique(attribute='city')|map(attribute='name')|list|[[1]]|unique|list|'aß'|upper|5|upper|missing|upper|'a b&c/d?é~'|urlencode|{'a b': 1, 'c': 'd/e'}|urlencode|[('x', 'y z')]|urlencode|5|urlencode
'one two,three 4_5 é'|wordcount|text|wordwrap(10)|text|wordwrap(10, false)|'aaaaaaaaaaaaa bb'|wordwrap(5)|'aaaaaaaaaaaaa bb'|wordwrap(5, false)|'a-b well-known thing-y'|wordwrap(6)|'abc def'|wordwrap(4, wrapstring='|')|''|wordwrap|{'a': 1, 'b': none, 'c': missing, 'd': '<"'}|xmlattr|{'a': 1}|xmlattr(false)|{'a b': 1}|xmlattr|{}|xmlattr|l|xmlattr
d|tojson|users|tojson(indent=2)|[]|tojson(indent=2)|{}|tojson(indent=2)|{'a': [], 'b': {}}|tojson(indent=4)|u|tojson|u|tojson(ensure_ascii=true)|'\\U0001f600'|tojson(ensure_ascii=true)|[1, 1.0, true, none, 'a"b\\\\\\n\\t\\x01\\x7f/<']|tojson|(1, 2)|tojson|{1: 2, none: 3, true: 4, 1.5: 5}|tojson|{'b': 1, 'a': 2}|tojson(sort_keys=true)|l|tojson(separators=(',', ':'))|d|tojson(indent=1, separators=(',', ': '))|l|tojson(indent='--')|missing|tojson|[missing]|tojson|range(3)|tojson|l|map('string')|tojson|html|tojson|1e400|tojson|namespace()|tojson|{(1,): 2}|tojson|l|tojson(indent=0)
s|nofilter|s|upper|lower|title|s|upper()|s|join(1, 2, 3)|s|trim(foo=1)|s|default(default_value='x')|missing|default(default_value='x')|d|attr('items')|d|attr('b')|users[0]|attr('name')|s|attr('upper')|l|attr('append')
""".strip()

METHODS = """
' a '.strip()|'xax'.strip('x')|'xyaxy'.lstrip('yx')|'abc'.rstrip('c')|'a'.strip(none)|'a,b,c'.split(',')|'a,b,c'.split(',', 1)|'a,b,c'.rsplit(',', 1)|' a  b '.split()|' a  b c '.split(none, 1)|' a  b c '.rsplit(none, 1)|'a'.split('')|'abc'.split(maxsplit=1)|'a-b-c'.split(sep='-', maxsplit=1)|''.split()|''.split(',')|'a\\nb\\r\\nc\\n'.splitlines()|'a\\nb'.splitlines(true)|'ab'.startswith('a')|'ab'.startswith(('x', 'a'))|'ab'.startswith(['a'])|'abc'.startswith('b', 1)|'abc'.endswith('c')|'abc'.endswith(('c', 'd'))|'abc'.endswith('b', 0, 2)
'aaa'.replace('a', 'b')|'aaa'.replace('a', 'b', 2)|'ab'.replace('', '-')|'aaa'.replace('a')|'aaa'.replace(old='a', new='b')|'ß'.upper()|'ÀÉ'.lower()|"it's a dog".title()|'hELLO wORLD'.capitalize()|'aBc'.swapcase()|'Straße'.casefold()|'abcabc'.find('c')|'abcabc'.find('c', 3)|'abcabc'.rfind('a')|'abc'.find('z')|'abc'.index('z')|'abc'.index('b')|'abc'.rindex('c')|'aXbX'.count('X')|'aaa'.count('')|'aaaa'.count('aa')|'é我é'.find('我')|'abc'.find('', 9)|', '.join(['a', 'b'])|''.join(ls)|','.join([1])|'-'.join('abc')|'-'.join(d)
'{} {}'.format(1, 'a')|'{0}{1}{0}'.format('a', 'b')|'{x}'.format(x=5)|'{:>5}|{:<5}|{:^5}|{:*^7}'.format('a', 'b', 'c', 'd')|'{:05d} {:+d} {:,} {:x} {:#x} {:b} {:o}'.format(42, 42, 1234567, 255, 255, 5, 8)|'{:.2f} {:e} {:g} {:%} {:10.3f} {:,.2f}'.format(3.14159, 12345.678, 0.0001, 0.25, 2.5, 12345.678)|'{!r} {!s}'.format('a', 'b')|'{{}} {{x}}'.format()|'{.name}'.format(users[0])|'{0[name]} {1[0]}'.format(users[0], l)|'{}'.format()|'{x}'.format()|'{'.format()|'{:d}'.format('a')|'{:{}}'.format('a', 5)|'{} {}'.format(1.0, none)|'{:.3}'.format('abcdef')|'{:.3}'.format(3.14159)|'{x} {y}'.format_map({'x': 1, 'y': 2})
'12'.isdigit()|'１２'.isdigit()|''.isdigit()|'½'.isnumeric()|'²'.isdigit()|'²'.isdecimal()|'ab1'.isalnum()|'abé'.isalpha()|'ab1'.isalpha()|'AB'.isupper()|'ab1'.islower()|'1'.islower()|'Ab Cd'.istitle()|' \\n'.isspace()|''.isspace()|'a_1'.isidentifier()|'1a'.isidentifier()|'ab\\n'.isprintable()|'é'.isascii()|'unhappy'.removeprefix('un')|'unhappy'.removesuffix('py')|'a'.removeprefix('b')|'-5'.zfill(4)|'5'.zfill(3)|'abc'.zfill(2)|'a'.ljust(3)~'|'|'a'.rjust(3, '*')|'ab'.center(5, '-')|'abc'.center(6)|'a'.center(4, 'xx')|'a\\tb'.expandtabs(4)|'a=b=c'.partition('=')|'a=b=c'.rpartition('=')|'abc'.partition('=')|'abc'.rpartition('=')|'a'.partition('')|'a'.upper(1)|'%s' % 5|'%s %s' % (1, 2)|'%s' % [1]|'%d%%' % 5|'%(a)s' % {'a': 1}|'a' % 1|'%s' % (1, 2)
d.get('a')|d.get('zz')|d.get('zz', 5)|d.get([1])|d.get()|d.items()|d.keys()|d.values()|d.items()|list|d.keys()|join(',')|d.items()|length|d.items()[0]|'a' in d.keys()|1 in d.values()|('a', 2) in d.items()|d.copy()|d.update({'x': 1})|d.pop('a')|d.setdefault('q', 1)|d.clear|d.pop is defined|l.append(1)|l.pop()|l.extend([1])|l.insert(0, 1)|l.sort()|l.reverse()|l.index(1)|l.index(9)|l.count(1)|l.copy()|(1, 2).index(2)|(1, 1).count(1)|l.foo|l.foo()|s.foo()|s.__class__|s.__class__.__name__|s|attr('__class__')|(5).bit_length()|2.0.is_integer()|namespace(_x=1)._x|{'_x': 1}._x|cycler('a').current|s.format_map|length
""".strip()

TESTS = """
t is boolean|1 is boolean|s is callable|range is callable|missing is callable|s.upper is callable|s is defined|missing is defined|missing is undefined|d.zz is defined|9 is divisibleby 3|9 is divisibleby(4)|9 is divisibleby 0|1 is eq 1|1 is equalto 2|1 is ==(1)|4 is even|3 is odd|'a' is even|false is false|0 is false|'upper' is filter|'zz' is filter|'odd' is test|'zz' is test|1.0 is float|1 is float|2 is ge 2|2 is gt 2|2 is greaterthan 1|1 is in [1]|'a' is in 'b'|1 is integer|true is integer|1.0 is integer|l is iterable|5 is iterable|'a' is iterable|missing is iterable|d.items() is iterable|1 is le 1|1 is lt 1|1 is lessthan 2
'abc' is lower|'aBc' is lower|'' is lower|'ABC' is upper|d is mapping|l is mapping|namespace() is mapping|missing is mapping|1 is ne 2|none is none|missing is none|0 is none|1 is number|1.5 is number|true is number|'1' is number|none is sameas none|1 is sameas 1|true is sameas 1|d is sameas d|l is sequence|'a' is sequence|d is sequence|5 is sequence|range(3) is sequence|d.items() is sequence|missing is sequence|(l|map('string')) is sequence|(l|map('string')) is iterable|'a' is string|5 is string|('a'|e) is string|true is true|1 is true|1 is not string|s is not defined or true|not s is string|1 is notest|x is defined and x|s is string is string|(1,) is sequence|1 + 1 is odd|-1 is number|s is string and l is not string|1 is not none
""".strip()

# Alternatives above are divided by "|" without spaces around; a filter's bar is found by what stands behind it.
STATEMENTS = [
    "{% if t %}a{% elif s %}b{% else %}c{% endif %}", "{% if fa %}a{% elif s %}b{% else %}c{% endif %}", "{% if fa %}a{% endif %}|",
    "{% for x in l %}{{ x }}{% endfor %}", "{% for x in le %}{{ x }}{% else %}none{% endfor %}", "{% for x in missing %}x{% else %}none{% endfor %}",
    "{% for x in 5 %}x{% endfor %}", "{% for x in none %}x{% endfor %}", "{% for c in 'añ我' %}[{{ c }}]{% endfor %}", "{% for k in d %}{{ k }}{% endfor %}",
    "{% for k, v in d.items() %}{{ k }}={{ v }};{% endfor %}", "{% for k, v in d|items %}{{ k }}={{ v }};{% endfor %}", "{% for a, b in nested %}{{ a }}-{{ b }} {% endfor %}",
    "{% for a, (b, c) in [(1, (2, 3))] %}{{ a }}{{ b }}{{ c }}{% endfor %}", "{% for a, b in l %}{% endfor %}", "{% for a, b in [(1, 2, 3)] %}{% endfor %}", "{% for a, b in [(1,)] %}{% endfor %}",
    "{% for x in l %}{{ loop.index }}{{ loop.index0 }}{{ loop.revindex }}{{ loop.revindex0 }}{{ loop.first }}{{ loop.last }}{{ loop.length }}{{ loop.depth }}{{ loop.depth0 }} {% endfor %}",
    "{% for x in l %}{{ loop.previtem }}<{{ x }}>{{ loop.nextitem }} {{ loop.previtem is defined }}{{ loop.nextitem is defined }};{% endfor %}",
    "{% for x in l %}{{ loop.previtem.foo }}{% endfor %}", "{% for x in [1,1,2] %}{{ loop.changed(x) }}{% endfor %}", "{% for x in l %}{{ loop.cycle('a', 'b') }}{% endfor %}", "{% for x in l %}{{ loop.cycle() }}{% endfor %}",
    "{% for x in l if x > 1 %}{{ x }}:{{ loop.index }}/{{ loop.length }}{{ loop.last }} {% endfor %}", "{% for x in l if x > 9 %}x{% else %}none{% endfor %}", "{% for x in l if loop.index %}{{ x }}{% endfor %}",
    "{% for x in l|map('string') %}{{ loop.last }}{{ loop.length }}{{ loop.revindex }} {% endfor %}", "{% for x in l %}{% if x == 1 %}{% break %}{% endif %}{{ x }}{% endfor %}",
    "{% for x in l %}{% if x == 1 %}{% continue %}{% endif %}{{ x }}{% else %}E{% endfor %}", "{% break %}", "{% for x in l %}{% macro m() %}{% break %}{% endmacro %}{% endfor %}", "{% for x in l %}{% break %}{% else %}E{% endfor %}",
    "{% for x in l %}{% for y in nested %}{{ loop.index }}{% if loop.first %}{% continue %}{% endif %}.{% endfor %}{{ loop.index }} {% endfor %}", "{% for loop in l %}{% endfor %}", "{{ loop }}|{{ loop is defined }}", "{{ loop.index }}",
    "{% for x in [1, [2, [3]]] recursive %}{% if x is iterable %}({{ loop(x) }}){% else %}{{ x }}@{{ loop.depth }}{% endif %}{% endfor %}", "{% for x in l %}{{ loop(l) }}{% endfor %}",
    "{% for x in users recursive %}{{ x.name }}{% endfor %}", "{% set x = 1 %}{% for i in l %}{{ x }}{% set x = i %}{{ x }};{% endfor %}{{ x }}", "{% for i in l %}{% if loop.first %}{% set y = i %}{% endif %}[{{ y }}]{% endfor %}",
    "{% set x = 1 %}{% if t %}{% set x = 2 %}{% endif %}{{ x }}", "{% for x in l %}{% endfor %}{{ x }}", "{% set a, b = 1, 2 %}{{ a }}{{ b }}", "{% set a, b = l %}", "{% set a = 1, 2 %}{{ a }}", "{% set (a, b) = 'xy' %}{{ b }}{{ a }}",
    "{% set x %}  a{{ n }} {% endset %}[{{ x }}]", "{% set x|upper %}abc{% endset %}{{ x }}", "{% set x|replace('a', 'b')|upper %}aab{% endset %}{{ x }}", "{% set x %}{% set q = 1 %}{% endset %}{{ q is defined }}",
    "{% set ns = namespace(c=0) %}{% for x in l %}{% set ns.c = ns.c + x %}{% endfor %}{{ ns.c }}", "{% set d.x = 1 %}", "{% set ns.x = 1 %}", "{% set ns = namespace() %}{% set ns.a, b = 1, 2 %}{{ ns.a }}{{ b }}", "{% set ns = namespace() %}{% set ns.x %}q{% endset %}{{ ns.x }}",
    "{% set ns = namespace(a=1) %}{{ ns }}{{ ns['a'] }}{{ ns.a is defined }}{{ ns.b is defined }}", "{% set ns = namespace() %}{{ 'a' in ns }}", "{% set none = 1 %}", "{% set 5 = 1 %}", "{% set x.y.z = 1 %}", "{% set x[0] = 1 %}", "{% set x = %}",
    "{% macro m(a, b=2) %}{{ a }}-{{ b }};{% endmacro %}{{ m(1) }}{{ m(1, 3) }}{{ m(b=5, a=4) }}{{ m() }}", "{% macro m(a) %}{% endmacro %}{{ m(1, 2) }}", "{% macro m(a) %}{% endmacro %}{{ m(z=2) }}",
    "{% macro m() %}{{ varargs }}{{ kwargs }}{% endmacro %}{{ m(1, 2, x=3) }}", "{% macro m(a) %}{{ varargs|join('+') }}{% endmacro %}{{ m(1, 2, 3) }}", "{% macro m(a, b=a) %}{{ a }}{{ b }}{% endmacro %}{{ m(1) }}",
    "{% macro m(a=1, b) %}{% endmacro %}", "{% macro m(a) %}{{ a is defined }}{% endmacro %}{{ m() }}", "{% macro m(a) %}{{ a.x }}{% endmacro %}{{ m() }}", "{% macro m() %}{{ caller() }}{% endmacro %}{{ m() }}",
    "{% macro m() %}<{{ caller() }}>{% endmacro %}{% call m() %}body{{ n }}{% endcall %}", "{% macro m() %}<{{ caller(1, y=2) }}>{% endmacro %}{% call(x, y=3) m() %}{{ x }}{{ y }}{% endcall %}",
    "{% macro m() %}{{ caller is defined }}{% endmacro %}{{ m() }}{% call m() %}{% endcall %}", "{% macro m() %}x{% endmacro %}{% call m() %}b{% endcall %}", "{% macro m(caller=5) %}{{ caller }}{% endmacro %}{{ m() }}", "{% macro m(caller) %}{% endmacro %}",
    "{% call s.upper() %}x{% endcall %}", "{% call 5 %}x{% endcall %}", "{% macro f(n) %}{{ n }}{% if n > 0 %}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(3) }}", "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
    "{{ m() }}{% macro m() %}x{% endmacro %}", "{% set x = 1 %}{% macro m() %}{{ x }}{% endmacro %}{% set x = 2 %}{{ m() }}", "{% macro m() %}{% set q = 1 %}{% endmacro %}{{ m() }}{{ q is defined }}", "{% for i in l %}{% macro m() %}{{ i }}{% endmacro %}{{ m() }}{% endfor %}{{ m is defined }}",
    "{% macro m() %} a {% endmacro %}{{ m()|trim }}|{{ m() ~ 'x' }}|{{ m.name }}|{{ m() is string }}", "{% macro a() %}{{ b() }}{% endmacro %}{% macro b() %}B{% endmacro %}{{ a() }}", "{% macro m(*args) %}{% endmacro %}", "{{ range(*[1, 3])|list }}{{ dict(**{'a': 1}) }}", "{{ range(*5) }}", "{{ dict(**5) }}", "{{ dict(a=1, **{'a': 2}) }}",
    "{% filter upper %}abc {{ s }}{% endfilter %}", "{% filter replace('a', 'b')|upper %}aca{% endfilter %}", "{% filter nofilter %}a{% endfilter %}", "{% with a = 1, b = 2 %}{{ a }}{{ b }}{% endwith %}{{ a is defined }}", "{% set a = 5 %}{% with a = 1, b = a %}{{ a }}{{ b }}{% endwith %}{{ a }}", "{% with %}{% set w = 1 %}{{ w }}{% endwith %}{{ w is defined }}",
    "{% block x %}b{{ s }}{% endblock %}", "{% block x %}{% endblock x %}{% block x %}{% endblock %}", "{% set q = 1 %}{% for i in l %}{% block y %}{{ q }}{{ i is defined }}{% endblock %}{% endfor %}", "{% autoescape false %}{{ html }}{% endautoescape %}", "{% generation %}a{{ s }}{% endgeneration %}b", "{% for x in l %}{% generation %}{{ x }}{{ loop.index }}{% endgeneration %}{% endfor %}",
    "{% raw %}{{ x }}{% if %}{% endraw %}", "{% raw -%}  a  {%- endraw %}|", "a {%- raw %} b {% endraw -%} c", "{% raw %}x", "{# c #}a{# {{ x }} #}b", "{# open", "a{#- c -#}  b", "{#-#}x", "{% print s, n %}", "{{ s, n }}", "{{ }}", "{{ s", "{% if %}", "{% if t %}", "{% endif %}", "{% foo %}", "{% %}", "{{ 1 2 }}", "{{ (1 }}", "{{ 1) }}", "{{ [1 }}", "{{ 'a }}", "{{ a. }}", "{{ a.'b' }}", "{{ $ }}", "{{ a b }}", "{{ 1 is }}",
    "{% for x in l %}{% endif %}", "{% for x l %}{% endfor %}", "{% else %}", "{{ {'a' 1} }}", "{{ {'a': 1,} }}{{ [1,] }}{{ (1,) }}", "{{ f(a=1, 2) }}", "{{ f(**a, *b) }}", "{% if t: %}a{% endif %}", "{% for x in l: %}{{ x }}{% endfor %}", "{{ '%}' }}{{ '}}' }}", "{{ {'a': {'b': {}}} }}", "{{- s -}}", "{{+ s }}", "{{ s|nofilter if fa else 1 }}", "{% if fa %}{{ s|nofilter }}{% endif %}ok", "{% if t %}{{ s|nofilter }}{% endif %}ok", "{% if fa %}{% for x in l %}{{ x|nofilter }}{% endfor %}{% endif %}ok", "{% if fa %}{{ s is notest }}{% endif %}ok", "{% macro m() %}{{ s|nofilter }}{% endmacro %}",
    "a\n  {% if t %}\n  b\n  {% endif %}\nc\n", "  {% if t %}x{% endif %}  \n", "a\n  {%+ if t %}x{% endif %}", "a\n {%- if t -%} \n x \n {%- endif -%} \n b", "{% if t +%}\nx{% endif %}", "  {{ s }}\n  {{ n }}\n", "a {% if t %} b {% endif %} c", "a\n\t{# c #}\nb", "{% set x = 1 %}\n\nfoo", "a\r\nb\rc\n\n", "\n\n", "", "x\n", "{{ 'a\\\nb' }}", "{{ 'a\nb' }}", "{% if t %}\r\nx\r\n{% endif %}", " {%- set x = 1 %} a", "{% raw %}\n a\n{% endraw %}\n b", "  {% raw %} a {% endraw %}", "{{ s }}\n{% for x in l -%}\n  {{ x }}\n{%- endfor %}\nend", "a\n  {#- c #}\nb", "a\n  {#+ c #}\nb", "a\u3000{%- if t %}x{% endif %}",
    "{% include 'a' %}", "{% import 'a' as b %}", "{% extends 'a' %}", "{% from 'a' import b %}", "{% set c = cycler('a', 'b') %}{{ c.next() }}{{ c.next() }}{{ c.next() }}{{ c.current }}{{ c.reset() }}{{ c.current }}", "{% set j = joiner('|') %}{{ j() }}{{ j() }}{{ j() }}", "{% set j = joiner() %}{% for x in l %}{{ j() }}{{ x }}{% endfor %}",
    "{% set g = l|map('string') %}{{ g|list }}{{ g|list }}", "{% set ns = namespace(stop=false) %}{% for x in l if not ns.stop %}{{ x }}{% set ns.stop = true %}{% endfor %}", "{% set x = l|map('nofilter') %}ok", "{% set x = 5|items %}ok", "{% for x in l %}{% continue %}{% else %}E{% endfor %}", "{% macro m(caller) %}{{ caller }}{% endmacro %}", "{{ raise_exception('a' ~ 1) }}", "{% if fa %}{{ raise_exception('x') }}{% endif %}ok", "{{ (missing|default({})).x }}|{{ (missing or {}).get('a', 'q') }}", "{{ s if missing.x is defined }}", "{{ missing.x is defined }}", "{{ d.x.y is defined }}", "{{ [1,2,3]|sum ~ 'a' if l }}",
    "{% set messages = l[1:] %}{{ messages }}", "{% for k, g in users|groupby('age') %}{{ k }}:{{ g|map(attribute='name')|join(',') }};{% endfor %}", "{% for row in l|batch(2, '-') %}{{ row|join }}|{% endfor %}", "{% for row in l|slice(2) %}{{ row|join }}|{% endfor %}", "{{ users|map(attribute='name')|map('lower')|select('in', ['ann', 'cid'])|join(' ') }}", "{{ 'x' if l is sequence and l is not mapping and l is not string else 'y' }}",
    "{% set x = {'a': 1} %}{% set x = dict(x, b=2) %}{{ x }}", "{% for x in d.values()|sort(reverse=true) %}{{ x }}{% endfor %}", "{% for c in s[:3] %}{{ loop.index }}{{ c }}{% endfor %}", "{{ u[:5]|upper }}{{ u|length }}{{ u[6:]|title }}", "{{ l is defined and l|length > 2 and l[0] == 3 }}", "{{ not l == [3] }}{{ not fa and t }}{{ 1 + 2 * 3 - 4 // 3 ** 2 % 5 }}", "{{ -1|abs }}{{ (-1)|abs }}{{ -n|abs }}", "{{ 2 ** 3 ** 2 }}{{ 10 - 3 - 2 }}{{ 1 ~ 2 + 3 }}", "{{ 'a' ~ 'b' * 2 }}", "{{ 1 if 0 else 2 if 1 else 3 }}", "{{ l|first + l|last }}", "{{ s|length == 12 }}", "{{ s == 'x' | default('y') }}", "{{ n is odd and z is even }}", "{{ 5 is in l or 3 in l }}", "{{ [l, d]|string|length }}",
    "{{ 'ΑΣ'.lower() }}{{ 'ΑΣΑ'.lower() }}{{ 'İ'.lower()|length }}{{ 'ŉﬁ'.upper() }}{{ 'ǆ'.title() }}", "{{ '\\u00a0x\\u3000'.strip() }}|{{ '\\u200bx'.strip()|length }}", "{{ ('<'|e + 'a').upper() }}{{ ('<b>'|safe).replace('b', '<') }}{{ '%s'|safe % '<' }}{{ '{}'|safe|length }}{{ (', '|safe).join(['<', '>'|safe]) }}", "{{ '9223372036854775807'|int }}", "{{ 9223372036854775807 }}", "{{ 1e308 * 10 }}{{ -1e308 * 10 }}", "{{ 0.1 * 3 }}{{ 1e-7 }}{{ 123456.789e3 }}{{ 5e-324 }}{{ 1.7976931348623157e308 }}",
]


def split_alternatives(line):
    """Splits "a|b|c" at bars that do not begin a filter."""
    names = set(jinja2.filters.FILTERS) | {"nofilter"}
    parts, depth, quote, start, i = [], 0, None, 0, 0
    while i < len(line):
        c = line[i]
        if quote:
            if c == "\\":
                i += 1
            elif c == quote:
                quote = None
        elif c in "'\"":
            quote = c
        elif c in "([{":
            depth += 1
        elif c in ")]}":
            depth -= 1
        elif c == "|" and depth == 0 and line[i - 1] != " ":
            word = ""
            for w in line[i + 1:]:
                if not (w.isalnum() or w == "_"):
                    break
                word += w
            if word not in names:
                parts.append(line[start:i])
                start = i + 1
        i += 1
    parts.append(line[start:])
    return parts


class Generation(jinja2.ext.Extension):
    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        return jinja2.nodes.CallBlock(self.call_method("_render"), [], [], body).set_lineno(line)

    def _render(self, caller):
        return caller()


def make_environment():
    env = jinja2.sandbox.ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[jinja2.ext.loopcontrols, Generation])

    def tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
        return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)

    def raise_exception(message):
        raise jinja2.exceptions.TemplateError(message)

    now = datetime.datetime(2026, 1, 2, 3, 4, 5)
    env.filters["tojson"] = tojson
    env.globals["raise_exception"] = raise_exception
    env.globals["strftime_now"] = now.strftime
    return env


def main():
    env = make_environment()
    templates = []
    for block in (EXPRESSIONS, FILTERS, METHODS, TESTS):
        for line in block.splitlines():
            templates += ["{{ %s }}" % part for part in split_alternatives(line)]
    templates += STATEMENTS
    cases, seen = [], set()
    for template in templates:
        if template in seen:
            continue
        seen.add(template)
        try:
            text = env.from_string(template).render(**CONTEXT)
            if " at 0x" in text or "bound method" in text or "built-in method" in text:
                continue
            cases.append([template, text])
        except Exception as error:  # what Jinja2 raises is the expected result
            cases.append([template, None, type(error).__name__])
    out = pathlib.Path(__file__).resolve().parent.parent / "src/chat/testdata/jinja_cases.json"
    out.parent.mkdir(exist_ok=True)
    rows = ",\n".join(json.dumps(c, ensure_ascii=False) for c in cases)
    out.write_text('{"jinja2": %s,\n"context": %s,\n"cases": [\n%s\n]}\n'
                   % (json.dumps(jinja2.__version__), json.dumps(CONTEXT, ensure_ascii=False), rows), encoding="utf-8")
    print(f"{len(cases)} cases, {sum(c[1] is None for c in cases)} of them errors")


if __name__ == "__main__":
    main()
