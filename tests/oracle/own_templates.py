"""Templates written for the fixtures. CHAT ones lay out whole conversations; FEATURES ones show one thing each."""

CHAT = {
    "chatml": """{%- for message in messages %}
{%- if loop.first and message.role != 'system' %}
{{- '<|im_start|>system\\nYou help.<|im_end|>\\n' }}
{%- endif %}
{{- '<|im_start|>' ~ message['role'] ~ '\\n' ~ message['content'] ~ '<|im_end|>' ~ '\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}""",

    "headers_and_date": """{{- bos_token }}
{%- if not date_string is defined %}
    {%- if strftime_now is defined %}{% set date_string = strftime_now("%d %b %Y") %}{% else %}{% set date_string = "01 Jan 2020" %}{% endif %}
{%- endif %}
{%- if not tools is defined %}{%- set tools = none %}{%- endif %}
{%- if messages and messages[0]['role'] == 'system' %}
    {%- set system_message = messages[0]['content'] | trim %}
    {%- set messages = messages[1:] %}
{%- else %}
    {%- set system_message = "" %}
{%- endif %}
{{- "<|start|>system<|end|>\\n\\n" }}
{%- if tools is not none %}
    {{- "Environment: ipython\\n" }}
{%- endif %}
{{- "Today: " + date_string + "\\n\\n" }}
{%- if tools is not none %}
    {%- for t in tools %}
        {{- t | tojson(indent=4) }}
        {{- "\\n\\n" }}
    {%- endfor %}
{%- endif %}
{{- system_message + "<|eot|>" }}
{%- for message in messages %}
    {%- if not (message.role == 'ipython' or message.role == 'tool' or 'tool_calls' in message) %}
        {{- '<|start|>' + message['role'] + '<|end|>\\n\\n' + message['content'] | trim + '<|eot|>' }}
    {%- elif 'tool_calls' in message %}
        {%- if not message.tool_calls|length == 1 %}
            {{- raise_exception("One call at a time!") }}
        {%- endif %}
        {%- set call = message.tool_calls[0].function %}
        {{- '<|start|>assistant<|end|>\\n\\n{"name": "' + call.name + '", "parameters": ' + (call.arguments | tojson) + "}<|eot|>" }}
    {%- elif message.role == "tool" or message.role == "ipython" %}
        {{- "<|start|>ipython<|end|>\\n\\n" }}
        {%- if message.content is mapping or message.content is iterable %}
            {{- message.content | tojson }}
        {%- else %}
            {{- message.content }}
        {%- endif %}
        {{- "<|eot|>" }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|start|>assistant<|end|>\\n\\n' }}{%- endif %}
""",

    "xml_tools": """{%- if tools %}
    {{- '[system]\\n' }}
    {%- if messages and messages[0].role == 'system' %}{{- messages[0].content + '\\n\\n' }}{%- endif %}
    {{- "Functions are inside <tools></tools>:\\n<tools>" }}
    {%- for tool in tools %}
        {{- "\\n" }}
        {{- tool | tojson }}
    {%- endfor %}
    {{- "\\n</tools>\\n" }}
{%- else %}
    {%- if messages and messages[0].role == 'system' %}
        {{- '[system]\\n' + messages[0].content + '\\n' }}
    {%- endif %}
{%- endif %}
{%- for message in messages %}
    {%- if (message.role == "user") or (message.role == "system" and not loop.first) or (message.role == "assistant" and not message.tool_calls) %}
        {{- '[' + message.role + ']\\n' + message.content + '\\n' }}
    {%- elif message.role == "assistant" %}
        {{- '[' + message.role + ']' }}
        {%- if message.content %}{{- '\\n' + message.content }}{%- endif %}
        {%- for tool_call in message.tool_calls %}
            {%- if tool_call.function is defined %}{%- set tool_call = tool_call.function %}{%- endif %}
            {{- '\\n<tool_call>\\n{"name": "' }}
            {{- tool_call.name }}
            {{- '", "arguments": ' }}
            {%- if tool_call.arguments is string %}{{ tool_call.arguments }}{% else %}{{- tool_call.arguments | tojson }}{% endif %}
            {{- '}\\n</tool_call>' }}
        {%- endfor %}
        {{- '\\n' }}
    {%- elif message.role == "tool" %}
        {%- if (loop.index0 == 0) or (messages[loop.index0 - 1].role != "tool") %}{{- '[user]' }}{%- endif %}
        {{- '\\n<tool_response>\\n' }}
        {{- message.content }}
        {{- '\\n</tool_response>' }}
        {%- if loop.last or (messages[loop.index0 + 1].role != "tool") %}{{- '\\n' }}{%- endif %}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{- '[assistant]\\n' }}{%- endif %}
""",

    "inst_alternating": """{%- if messages and messages[0]["role"] == "system" %}
    {%- set system_message = messages[0]["content"] %}
    {%- set loop_messages = messages[1:] %}
{%- else %}
    {%- set loop_messages = messages %}
{%- endif %}
{%- set user_messages = loop_messages | selectattr("role", "equalto", "user") | list %}
{%- set ns = namespace(index=0) %}
{%- for message in loop_messages %}
    {%- if not (message.role == "tool" or (message.tool_calls is defined and message.tool_calls is not none)) %}
        {%- if (message["role"] == "user") != (ns.index % 2 == 0) %}
            {{- raise_exception("roles must alternate user/assistant/user/...") }}
        {%- endif %}
        {%- set ns.index = ns.index + 1 %}
    {%- endif %}
{%- endfor %}
{{- bos_token }}
{%- for message in loop_messages %}
    {%- if message["role"] == "user" %}
        {%- if tools is not none and (message == user_messages[-1]) %}
            {{- "[TOOLS] [" }}
            {%- for tool in tools %}
                {%- set tool = tool.function %}
                {{- '{"type": "function", "function": {' }}
                {%- for key, val in tool.items() if key != "return" %}
                    {%- if val is string %}
                        {{- '"' + key + '": "' + val + '"' }}
                    {%- else %}
                        {{- '"' + key + '": ' + val | tojson }}
                    {%- endif %}
                    {%- if not loop.last %}{{- ", " }}{%- endif %}
                {%- endfor %}
                {{- "}}" }}
                {%- if not loop.last %}{{- ", " }}{%- else %}{{- "]" }}{%- endif %}
            {%- endfor %}
            {{- "[/TOOLS]" }}
        {%- endif %}
        {%- if loop.last and system_message is defined %}
            {{- "[INST] " + system_message + "\\n\\n" + message["content"] + "[/INST]" }}
        {%- else %}
            {{- "[INST] " + message["content"] + "[/INST]" }}
        {%- endif %}
    {%- elif message.tool_calls is defined and message.tool_calls is not none %}
        {{- "[CALLS] [" }}
        {%- for tool_call in message.tool_calls %}
            {%- set out = tool_call.function | tojson %}
            {{- out[:-1] }}
            {%- if not tool_call.id is defined or tool_call.id | length != 9 %}
                {{- ', "short": true}' }}
            {%- else %}
                {{- ', "id": "' + tool_call.id + '"}' }}
            {%- endif %}
            {%- if not loop.last %}{{- ", " }}{%- else %}{{- "]" + eos_token }}{%- endif %}
        {%- endfor %}
    {%- elif message["role"] == "assistant" %}
        {{- " " + message["content"] | trim + eos_token }}
    {%- elif message["role"] == "tool" %}
        {%- if message.content is defined and message.content.content is defined %}
            {%- set content = message.content.content %}
        {%- else %}
            {%- set content = message.content %}
        {%- endif %}
        {{- '[RESULTS] {"content": ' + content | string + ', "id": "' + message.tool_call_id + '"}[/RESULTS]' }}
    {%- else %}
        {{- raise_exception("Only user, assistant and tool roles, not " ~ message.role) }}
    {%- endif %}
{%- endfor %}
""",

    "macro_parts": """{%- macro text_of(content, sep='') -%}
    {%- if content is string -%}
        {{- content -}}
    {%- elif content is iterable and content is not mapping -%}
        {%- for part in content -%}
            {%- if part.type == 'text' -%}{{- part.text -}}{%- else -%}<{{ part['type'] | upper }}>{%- endif -%}
            {%- if not loop.last -%}{{ sep }}{%- endif -%}
        {%- endfor -%}
    {%- elif content is none -%}(nothing){%- else -%}{{ content | tojson }}{%- endif -%}
{%- endmacro -%}
{%- for m in messages %}
<{{ m.role | upper }} n={{ loop.index }}/{{ loop.length }}>
{{ text_of(m.content, sep='|') }}
{% endfor %}
{% if add_generation_prompt %}<ASSISTANT>{% endif %}
""",

    "thinking": """{%- set ns = namespace(last=-1, seen=false) %}
{%- for message in messages[::-1] %}
    {%- set index = (messages|length - 1) - loop.index0 %}
    {%- if not ns.seen and message.role == 'user' %}{%- set ns.last = index %}{%- set ns.seen = true %}{%- endif %}
{%- endfor %}
{%- for message in messages %}
    {%- set content = message.content if message.content is string else '' %}
    {%- if message.role == 'assistant' %}
        {%- set reasoning = '' %}
        {%- if message.reasoning_content is string %}
            {%- set reasoning = message.reasoning_content %}
        {%- elif '</think>' in content %}
            {%- set reasoning = content.split('</think>')[0].rstrip('\\n').split('<think>')[-1].lstrip('\\n') %}
        {%- endif %}
        {%- if '</think>' in content %}{%- set content = content.split('</think>')[-1].lstrip('\\n') %}{%- endif %}
        {%- if loop.index0 > ns.last and reasoning %}
            {{- 'A(' + reasoning.strip('\\n') + ') ' + content + '\\n' }}
        {%- else %}
            {{- 'A ' + content + '\\n' }}
        {%- endif %}
    {%- else %}
        {{- message.role[0] | upper ~ ' ' ~ content ~ '\\n' }}
    {%- endif %}
{%- endfor %}
{{- '[last ' ~ ns.last ~ ']' }}
{%- if add_generation_prompt %}
    {{- 'A ' }}
    {%- if enable_thinking is defined and enable_thinking is false %}{{- '()' }}{%- endif %}
{%- endif %}
""",

    "plain_whitespace": """  {% for m in messages %}
    {% if m.role == 'user' %}
  User: {{ m.content }}
    {% elif m.role == 'assistant' %}
  Bot: {{ m.content }}   
    {% else %}
\t{{ m.role }}
    {% endif %}
  {% endfor %}

  {#- a comment -#}   
  end
{% if add_generation_prompt %}
  Bot:{% endif %}
  
""",

    "loop_facts": """{% for m in messages %}
{{ loop.index }},{{ loop.index0 }},{{ loop.revindex }},{{ loop.revindex0 }},{{ loop.first }},{{ loop.last }},{{ loop.length }},{{ loop.depth }},{{ loop.cycle('odd', 'even') }} prev={{ loop.previtem.role if loop.previtem is defined else '-' }} next={{ loop.nextitem.role if not loop.last }} changed={{ loop.changed(m.role) }}
{% else %}
no messages
{% endfor %}""",

    "filters_on_messages": """roles: {{ messages | map(attribute='role') | join(', ') }}
users: {{ messages | selectattr('role', 'equalto', 'user') | list | length }}
others: {{ messages | rejectattr('role', 'eq', 'user') | map(attribute='role') | list }}
in: {{ messages | selectattr('role', 'in', ['tool', 'system']) | map(attribute='role') | unique | list }}
with calls: {{ messages | selectattr('tool_calls', 'defined') | list | count }}
{% if messages %}first: {{ (messages | first).role }} last: {{ (messages | last)['role'] }}{% endif %}

keys: {% for m in messages %}{{ m.keys() | list | sort | join('/') }} {% endfor %}

sorted: {% for m in messages | sort(attribute='role') %}{{ m.role }};{% endfor %}

json: {{ messages | tojson }}
""",

    "break_continue": """{% for m in messages %}{% if m.role == 'system' %}{% continue %}{% endif %}{% if loop.index0 == 3 %}stop{% break %}{% endif %}{{ m.role }}:{% for c in m.content %}{% if c == ' ' %}{% break %}{% endif %}{% if c == 'e' %}{% continue %}{% endif %}{{ c }}{% endfor %}|{% endfor %}.""",

    "set_block_filter_block": """{% set body %}
{% for m in messages %}[{{ m.role }}]{% endfor %}
{% endset %}
{% filter upper %}x{{ body }}y{% endfilter %}
{{ body | trim | length }}
{% set scope = 'outer' %}{% for m in messages %}{% set scope = m.role %}{{ scope }} {% endfor %}{{ scope }}
{% with n = messages | length, d = 2 %}{{ n // d }} {{ n % d }} {{ n / d }}{% endwith %}
{% call(r) wrap() %}<{{ r }}>{% endcall %}
""".replace("{% call(r)", "{% macro wrap() %}{% for m in messages %}{{ caller(m.role) }}{% endfor %}{% endmacro %}{% call(r)"),

    "strict_roles": """{% for m in messages %}{% if m.role not in ['user', 'assistant'] %}{{ raise_exception('Unknown role: ' + m.role) }}{% endif %}{{ m.content.strip() }}{{ eos_token if m.role == 'assistant' else '\\n' }}{% endfor %}""",
}

# One template a line, rendered with the chat "turns".
FEATURES = r"""
{{ 1 + 2 * 3 }} {{ (1 + 2) * 3 }} {{ 7 // 2 }} {{ -7 // 2 }} {{ 7 % 3 }} {{ -7 % 3 }} {{ 2 ** 10 }} {{ 7 / 2 }} {{ 6 / 3 }} {{ -3 }} {{ 1.5 + 1 }} {{ 1e3 }} {{ 0.1 }}
{{ 2 ** 3 ** 2 }} {{ -2 ** 2 }} {{ 10 - 3 - 2 }} {{ 1 - -1 }} {{ +5 }} {{ 100000000000000000 }} {{ 1_000 }} {{ 1.0 }} {{ 1e20 }} {{ 1.5e-7 }} {{ 123456789.123 }}
{{ 1 < 2 }} {{ 2 <= 2 }} {{ 3 > 4 }} {{ 1 == 1.0 }} {{ 1 != 2 }} {{ 'a' < 'b' }} {{ 1 < 2 < 3 }} {{ 3 > 2 > 2 }} {{ 'a' == 'a' }} {{ none == none }} {{ true == 1 }}
{{ true and false }} {{ true or false }} {{ not true }} {{ 0 or 'x' }} {{ '' or 'y' }} {{ 'a' and 'b' }} {{ none and 1 }} {{ [] or {} }} {{ not [] }} {{ not 'a' in 'abc' }}
{{ true }} {{ false }} {{ none }} {{ True }} {{ False }} {{ None }}
{{ 'a' ~ 1 ~ true ~ none ~ 1.5 ~ [1, 'x'] }} {{ 'a' + 'b' }} {{ 'ab' * 3 }} {{ [1] + [2, 3] }} {{ [0] * 3 }}
{{ 'it''s' }}
{{ 'it\'s' }} {{ "say \"hi\"" }} {{ 'tab\tnl\nbs\\ u\u00e9 x\x41' }} {{ '{{' }} {{ "}}" }} {{ '%}' }}
{{ 'a' 'b' }}
{{ 'yes' if 1 else 'no' }} {{ 'yes' if '' else 'no' }}[{{ 'only' if false }}]{{ 'a' if false else 'b' if false else 'c' }}
{{ [1, 'a', none, true, 2.5, [3], {'k': 'v'}] }} {{ {'a': 1, 'b': [true, none]} }} {{ (1, 2) }} {{ (1,) }} {{ () }} {{ [] }} {{ {} }}
{{ ['it\'s', "q\"q", 'é', 'a\nb', '\\'] }}
{{ [1, 2, 3, 4, 5][1:3] }} {{ [1, 2, 3][::-1] }} {{ 'hello'[1:-1] }} {{ 'hello'[-3:] }} {{ 'hello'[::2] }} {{ 'hello'[10:] }} {{ [1,2,3][-1] }} {{ 'héllo'[1] }} {{ (1,2,3)[:2] }}
{{ {'a': {'b': [10, 20]}}.a.b[1] }} {{ {'a': 1}['a'] }} {{ {'a': 1}.get('b', 'none') }} {{ {'a': 1}.get('b') }} {{ {1: 'x'}[1] }} {{ 'abc'[0] }}
[{{ undefined_thing }}] {{ undefined_thing is defined }} {{ undefined_thing is undefined }} [{{ messages[0].nothing }}] {{ messages[0].nothing is defined }} [{{ messages[99] }}] {{ undefined_thing | default('d') }} {{ '' | default('d', true) }} {{ none | default('d') }} {{ undefined_thing | length }}
{{ undefined_thing.attribute }}
{{ undefined_thing + 1 }}
{{ messages[99].role }}
{{ none.x is defined }} {{ not undefined_thing }} {{ 'y' if undefined_thing else 'n' }} {% for x in undefined_thing %}x{% else %}empty{% endfor %} {{ undefined_thing == none }} {{ undefined_thing is none }}
{{ '  x y ' | trim }}| {{ 'xxaxx' | trim('x') }} {{ 'aBc' | upper }} {{ 'aBc' | lower }} {{ 'hello wORLD' | capitalize }} {{ "they're bill's" | title }} {{ 'abc' | length }} {{ 'héé' | length }} {{ [1, 2] | count }}
{{ 'ß ı ǆ İ Σ' | upper }} {{ 'ÀÉ Σ ẞ' | lower }}
{{ [1, 2, 3] | join }} {{ [1, 2, 3] | join('-') }} {{ 'abc' | join(',') }} {{ [{'n': 1}, {'n': 2}] | join(';', attribute='n') }} {{ [none, true, 1.0] | join(' ') }}
{{ 'a-b-c' | replace('-', '+') }} {{ 'aaa' | replace('a', 'b', 2) }} {{ [3, 1, 2] | first }} {{ [3, 1, 2] | last }} {{ 'xyz' | first }} {{ 'xyz' | last }} [{{ [] | first }}]
{{ [3, 1, 2] | sort }} {{ ['b', 'A', 'c'] | sort }} {{ ['b', 'A', 'c'] | sort(case_sensitive=true) }} {{ [1, 2, 3] | sort(reverse=true) }} {{ [3, 1, 2] | min }} {{ [3, 1, 2] | max }} {{ [1, 2, 3] | sum }} {{ [1, 1, 2] | unique | list }} {{ [1, 2, 3] | reverse | list }} {{ 'abc' | reverse }}
{{ {'b': 1, 'a': 2} | dictsort }} {{ {'b': 1, 'a': 2} | dictsort(by='value') }} {{ {'b': 1, 'a': 2} | items | list }} {% for k, v in {'b': 1, 'a': 2} | dictsort %}{{ k }}={{ v }};{% endfor %} {% for k, v in {'z': 1, 'y': 2}.items() %}{{ k }}={{ v }};{% endfor %} {{ {'z': 1}.keys() | list }} {{ {'z': 1}.values() | list }} {% for k in {'z': 1, 'y': 2} %}{{ k }}{% endfor %}
{{ '42' | int }} {{ 'x' | int }} {{ 'x' | int(7) }} {{ 3.9 | int }} {{ '3.7' | int }} {{ '2.5' | float }} {{ 'x' | float }} {{ 2.567 | round(2) }} {{ 2.5 | round }} {{ 3.5 | round }} {{ 2.1 | round(method='ceil') }} {{ 2.9 | round(0, 'floor') }} {{ -5 | abs }} {{ 5 | string }} {{ 1 | float }}
{{ [1, 'a'] | string }} {{ {'a': none} | string }} {{ true | string }} {{ 'abc' | list }} {{ 'a b  c' | wordcount }} {{ range(5) | list }} {{ range(2, 8, 3) | list }} {{ range(3, 0, -1) | list }}
{{ {'a': 1, 'ü': 'ß"\n<&>\u0001', 'l': [1.0, 1.5, none, true], 'e': [], 'o': {}} | tojson }}
{{ {'b': 1, 'a': [1, {'c': 2}], 'e': [], 'o': {}} | tojson(indent=2) }} {{ [1, 2] | tojson(indent=4) }} {{ {'b': 1, 'a': 2} | tojson(sort_keys=true) }} {{ {'a': [1, 2]} | tojson(separators=(',', ':')) }} {{ 'é' | tojson(ensure_ascii=true) }} {{ '😀' | tojson(ensure_ascii=true) }}
{{ 'x' | tojson }} {{ 1 | tojson }} {{ 1.0 | tojson }} {{ none | tojson }} {{ true | tojson }} {{ (1, 2) | tojson }} {{ 1e20 | tojson }} {{ 1e-7 | tojson }} {{ 'a/b\\c\t\u2028\u007f' | tojson }} {{ {1: 2, true: 3, none: 4} | tojson }}
{{ undefined_thing | tojson }}
{{ [{'a': 1}, {'a': 2}, {'b': 3}] | selectattr('a') | list }} {{ [{'a': 1}, {'a': 2}] | selectattr('a', 'gt', 1) | list }} {{ [1, 2, 3, 4] | select('even') | list }} {{ [1, 2, 3, 4] | reject('odd') | list }} {{ [0, 1, '', 'a'] | select | list }} {{ ['a', 'b'] | map('upper') | list }} {{ [{'a': 1}, {}] | map(attribute='a', default=0) | list }} {{ [{'x': {'y': 5}}] | map(attribute='x.y') | list }} {{ ['1', '2'] | map('int') | sum }}
{{ 1 is number }} {{ 'a' is number }} {{ true is number }} {{ 1 is integer }} {{ 1.0 is integer }} {{ 1.0 is float }} {{ true is integer }} {{ 'a' is string }} {{ true is boolean }} {{ 1 is boolean }} {{ [] is sequence }} {{ 'a' is sequence }} {{ {} is sequence }} {{ 1 is sequence }} {{ {} is mapping }} {{ [] is mapping }} {{ [] is iterable }} {{ 'a' is iterable }} {{ 1 is iterable }} {{ none is none }} {{ 0 is none }}
{{ true is true }} {{ 1 is true }} {{ false is false }} {{ 0 is false }} {{ 3 is odd }} {{ 3 is even }} {{ 9 is divisibleby 3 }} {{ 9 is divisibleby(2) }} {{ 1 is eq 1 }} {{ 1 is equalto 2 }} {{ 1 is ne 2 }} {{ 1 is lt 2 }} {{ 2 is ge 2 }} {{ 'a' is in 'abc' }} {{ 1 is in [1] }} {{ 1 is not in [1] }} {{ 'A' is upper }} {{ 'a' is lower }} {{ raise_exception is callable }} {{ 1 is sameas 1 }} {{ x is not defined }} {{ not x is defined }}
{{ 'a' in 'cat' }} {{ 'b' not in 'cat' }} {{ 1 in [1, 2] }} {{ 'k' in {'k': 1} }} {{ 3 in (1, 2) }} {{ 'role' in messages[0] }} {{ messages[0] in messages }} {{ '' in 'a' }}
{{ 'a,b,,c'.split(',') }} {{ ' a  b '.split() }} {{ 'a-b-c'.split('-', 1) }} {{ 'a-b-c'.rsplit('-', 1) }} {{ 'x'.join(['1', '2']) }} {{ ' x '.strip() }}| {{ 'xxaxx'.strip('x') }} {{ 'xxaxx'.lstrip('x') }} {{ 'xxaxx'.rstrip('x') }} {{ 'abcab'.rstrip('ba') }} {{ ''.split(',') }} {{ 'a\nb\r\nc'.splitlines() }}
{{ 'abc'.startswith('ab') }} {{ 'abc'.endswith('bc') }} {{ 'abc'.startswith(('x', 'a')) }} {{ 'abc'.upper() }} {{ 'ABC'.lower() }} {{ 'abc def'.title() }} {{ 'abc def'.capitalize() }} {{ 'abcabc'.replace('b', 'X') }} {{ 'abcabc'.replace('b', 'X', 1) }} {{ 'abcabc'.find('c') }} {{ 'abc'.find('z') }} {{ 'abcabc'.count('a') }} {{ '12'.isdigit() }} {{ 'ab'.isalpha() }} {{ 'a b'.islower() }} {{ '7'.zfill(3) }} {{ 'abcabc'.rfind('c') }}
{{ '%s is %d' | format('x', 5) }} {{ '%s-%s' % ('a', 'b') }} {{ '{} {}'.format('a', 1) }}
{{ 'a' | indent }} {{ 'a\nb\n\nc' | indent(2) }} {{ 'a\nb' | indent(2, first=true) }} {{ 'a\nb' | indent(width=3) }}
{{ '<a href="x">&\'</a>' | escape }} {{ '<a>' | e }} {{ '<b>' | safe }} {{ '<p>x</p> y' | striptags }} {{ 'a b/c' | urlencode }}
{% set x = 1 %}{% set y, z = 2, 3 %}{{ x + y + z }} {% set x = x + 1 %}{{ x }} {% set l = [] %}{% if true %}{% set x = 9 %}{% endif %}{{ x }}
{% set ns = namespace(a=1, b='x') %}{% for i in range(3) %}{% set ns.a = ns.a + i %}{% set ns.c = i %}{% endfor %}{{ ns.a }} {{ ns.b }} {{ ns.c }}
{% set x = 0 %}{% for i in range(3) %}{% set x = x + 1 %}{% endfor %}{{ x }}
{% for i in range(6) if i % 2 == 0 %}{{ i }}{{ ',' if not loop.last }}{% endfor %} {% for a, b in [(1, 2), (3, 4)] %}{{ a }}{{ b }} {% endfor %} {% for i in [] %}x{% else %}none{% endfor %} {% for c in 'añb' %}{{ c }}.{% endfor %}
{% for row in [[1, 2], [3]] %}{% set outer = loop %}{% for v in row %}{{ outer.index }}.{{ loop.index }}={{ v }} {% endfor %}{% endfor %}
{% for i in [1, [2, [3]]] recursive %}{% if i is iterable %}({{ loop(i) }}){% else %}{{ i }}{% endif %}{% endfor %}
{% macro f(a, b=2, c='x') %}{{ a }}-{{ b }}-{{ c }};{% endmacro %}{{ f(1) }}{{ f(1, 3) }}{{ f(1, c='z') }}{{ f(b=5, a=4) }}[{{ f() }}]
{% macro m() %}{{ varargs }}{{ kwargs }}{% endmacro %}{{ m(1, 2, k=3) }}
{% macro outer() %}{% macro inner(x) %}<{{ x }}>{% endmacro %}{{ inner('i') }}{{ inner('j') }}{% endmacro %}{{ outer() | upper }}
{% macro fact(n) %}{{ 1 if n < 2 else n * (fact(n - 1) | int) }}{% endmacro %}{{ fact(5) }}
{% raw %}{{ not rendered }} {% if %} {# c #}{% endraw %}
a {# comment {{ x }} {% if %} #} b {#- c -#} d
a  {{- ' b ' -}}  c {%- if true -%}  d  {%- endif -%} e
  {%+ if true %}kept{% endif %}|   {% if true %}   {% endif %}|
{% if false %}a{% elif none %}b{% elif 0 %}c{% elif [] %}d{% else %}e{% endif %}
{% if messages | length > 3 and messages[0].role == 'user' or false %}A{% endif %}{% if not (messages[-1].role == 'assistant') %}B{% endif %}
{{ messages[0].content }} {{ messages[0]['content'] }} {{ messages[0].get('content') }} {{ messages[-1].content | lower | first }} {{ messages | length - 1 }} {{ (messages | length) // 2 }}
{{ messages[1:] | length }} {{ messages[:1][0].role }} {{ messages[::2] | map(attribute='content') | join('') }} {{ messages[-2:] | map(attribute='content') | list }}
{{ strftime_now('%Y-%m-%d') }} {{ strftime_now('%d %B %Y, %H:%M:%S %A %j %y %I %p %b %a %%') }}
{{ bos_token }}{{ eos_token }} {{ bos_token is defined }} {{ tools is none }} {{ tools is defined }} {{ documents is none }} {{ custom is defined }}
{{ namespace is defined }} {{ range is defined }} {{ dict(a=1, b='x') }} {{ dict(a=1) | tojson }} {{ lipsum is defined }} {{ cycler is defined }} {% set j = joiner(', ') %}{% for i in [1, 2, 3] %}{{ j() }}{{ i }}{% endfor %} {% set c = cycler('a', 'b') %}{{ c.next() }}{{ c.next() }}{{ c.next() }}
{{ raise_exception('stop here') }}
before {% if messages %}{{ raise_exception('always') }}{% endif %}
{{ 1 / 0 }}
{{ 'a' + 1 }}
{{ 1 < 'a' }}
{{ unknown_function() }}
{{ 'a' | no_such_filter }}
{{ 'a' is no_such_test }}
{% if true %}unclosed
{{ 1 +
{% endfor %}
{% unknown_tag %}
{{ 'abc }}
{{ messages.append(1) }}
{{ messages[0].update({'a': 1}) }}
{{ messages[0].__class__ }}
{{ ''.__class__.__mro__ }}
{{ {'items': 5}['items'] }} {{ {'items': 5}.items is callable }} {{ {'name': 'n'}.name }} {{ {'length': 3}.length }}
{{ [[1, 2], [3, 4]] | map('first') | list }} {{ [[1, 2], [3]] | map('length') | list }} {{ [1, 2, 3, 4, 5] | batch(2) | list }} {{ [1, 2, 3] | slice(2) | list }} {{ [{'g': 1, 'v': 'a'}, {'g': 2, 'v': 'b'}, {'g': 1, 'v': 'c'}] | groupby('g') | length }}
{{ 'abc' | truncate(2, true, '') }} {{ 'hello' | center(9) }}| {{ 'x' | attr('nope') is defined }} {{ 12345678 | filesizeformat }}
{{ ['a', 'b'] == ['a', 'b'] }} {{ {'a': 1} == {'a': 1} }} {{ [1, 2] < [1, 3] }} {{ 'a' == 1 }} {{ (1, 2) == (1, 2) }} {{ [1] == (1,) }} {{ none != 1 }} {{ 1.0 == 1 }}
{{ messages is iterable and messages is not mapping and messages is not string }} {{ messages[0] is mapping }} {{ messages[0].content is string }} {{ messages[0].content is not none }}
{{ (messages | last).content ~ '!' }} {{ ('a' ~ 'b') | upper }} {{ 'a' ~ 'b' | upper }} {{ 1 ~ 2 + '3' }} {{ 'x' + 'y' | upper + 'z' }} {{ -1 | abs }} {{ 2 * 3 | string }}
{{ 1 + 2 ~ 3 }}
{{ not 1 == 2 }} {{ not none is none }} {{ 1 in [1] and 2 not in [1] }} {{ 1 == 1 is true }} {{ (1 == 1) is true }} {{ 'a' in 'abc' == true }}
{{ none | selectattr('a', 'equalto', 1) | list | length }} {{ none | map('upper') | list }} {{ false | reject('odd') | list }} {{ 0 | select | list }} {{ '' | rejectattr('a') | list }} {{ [] | map('nope') | list }} {{ nope | map(attribute='a') | join }}|
{{ 1 | select | list }}
{{ none | list }}
{{ [1] | map('nope') | list }}
{{ 'α' < 'β' }} {{ 'Zebra' < 'apple' }} {{ 'a' > 'B' }} {{ 'é' ~ '寸' ~ '👩' | length }} {{ '👩‍💻' | length }} {{ '寸法'[0] }} {{ '👍🏽' | list | length }}
""".strip("\n")

# Templates that span lines.
MULTILINE = [
    "{{ 'multi\nline' }} {{ 'a' -}}\n  b\n{% if true -%}\n   x\n{%- endif %}\ny\n",
    "{% if true %}\nx\n{% endif %}\n\n{% for i in [1, 2] %}\n  {{ i }}\n{% endfor %}\nend\n\n",
    "{{ 'no newline trimmed after expressions' }}\nx{# comment #}\ny\n{# alone #}\nz\n",
    "  {% set a = 1 %}  \n{{ a }}\n\t{% set b = 2 %}\n{{ b }}",
    "a\r\n{% if true %}\r\nb\r\n{% endif %}\r\nc\r\n",
    "{%- set a = {\n  'k': [\n    1,\n    2,\n  ],\n  'm': 'v',\n} -%}\n{{ a.k[1] }}{{ a\n  .m\n  | upper }}\n",
    "{% raw -%}\n  {{ x }}\n{%- endraw %}\nafter\n{%- raw %}\n  {% y %}\n{% endraw -%}\n  z",
    "{% if true %}{#- c -#}\n  a\n  {#+ kept #}\n{% endif %}",
    "{% generation %}inside{% endgeneration %}",
    "x{{ '' }}\n\n\n",
    "",
    "just text\n",
    "{% for m in messages %}\n\n{{ m.content }}\n\n{% endfor %}\n",
]


def features():
    return FEATURES.split("\n") + MULTILINE
