/* Templates against Go: each row's second text is what text/template of Go 1.26 printed, or its whole
 * error text, for the first one, with the same data and functions. What we cannot answer alike is
 * left out: complex numbers, %T and %p, pointers inside of printed lists. */
#include <stdio.h>

#include "alert/template.h"
#include "tests/support/check_err.h"

struct row {
    const char *text, *want;
};

static const struct row expanded[] = {
    {"{{ 1 }}{{ 1.0 }} {{ 1.5e10 }} {{ 1e6 }} {{ 1e20 }} {{ 1e21 }} {{ 1e-4 }} {{ 1e-5 }}",
     "11 1.5e+10 1e+06 1e+20 1e+21 0.0001 1e-05"},
    {"{{ 1e100 }} {{ -1.5 }} {{ .5 }} {{ 5. }} {{ 0b101 }} {{ 0o17 }} {{ 017 }} {{ 0x1p4 }} {{ "
     "1_000.5 }}",
     "1e+100 -1.5 0.5 5 5 15 15 16 1000.5"},
    {"{{ 9223372036854775807 }} {{ -9223372036854775808 }}",
     "9223372036854775807 -9223372036854775808"},
    {"{{ 'x' }} {{ '\\n' }} {{ '\\'' }} {{ '\\x41' }} {{ '\\u00e9' }} {{ '\303\251' }}",
     "120 10 39 65 233 233"},
    {"{{ \"a\\tb\\n\\\"q\\\"\\\\ \\u00e9 \\x41 \\101\" }}", "a\tb\n\"q\"\\ \303\251 A A"},
    {"{{ `raw \\n \"x\"` }}", "raw \\n \"x\""},
    {"{{ print nil }}", "<nil>"},
    {"{{ printf \"%v\" nil }}", "<nil>"},
    {"{{ true }} {{ false }} {{ not true }} {{ not \"\" }} {{ not 0.0 }} {{ not nil }}",
     "true false false true true true"},
    {"{{ or \"\" 0 }} {{ or false }} {{ and 0 (index \"x\" 9) }} {{ or 1 (index \"x\" 9) }}",
     "0 false 0 1"},
    {"{{ eq 1 1 }} {{ eq \"a\" \"b\" \"a\" }} {{ eq 1.5 1.5 }} {{ eq true true }} {{ eq nil nil }}",
     "true true true true true"},
    {"{{ eq 1 nil }}", "false"},
    {"{{ eq nil 1 }}", "false"},
    {"{{ lt 1 2 }} {{ lt 1.0 2.0 }} {{ lt \"a\" \"b\" }} {{ le 2 2 }} {{ gt 3 2 }} {{ ge 2 3 }}",
     "true true true true true false"},
    {"{{ gt $value 100.0 }} {{ gt $value 1e7 }} {{ lt $value 0.0 }}", "true false false"},
    {"{{ len $labels.job }} {{ len (query \"two\") }} {{ len (args 1 2 3) }}", "4 2 3"},
    {"{{ index $labels \"job\" }} {{ index $labels \"nope\" }} {{ index \"abc\" 1 }}", "node  98"},
    {"{{ index (args 1 \"b\") \"arg1\" }} {{ index (args 1) \"argX\" }}", "b <no value>"},
    {"{{ index $labels }}", "map[__name__:m instance:host.example:9100 job:node]"},
    {"{{ slice \"abcdef\" 2 }} {{ slice \"abcdef\" 2 4 }} {{ slice \"abc\" }} {{ len (slice (query "
     "\"two\") 1) }}",
     "cdef cd abc 1"},
    {"{{ len (slice (query \"two\") 0 1 2) }}", "1"},
    {"{{ print \"a\" 1 2 \"b\" 3.5 true nil }}", "a1 2b3.5 true <nil>"},
    {"{{ print 1 2 3 }}|{{ print \"a\" \"b\" }}|{{ print }}|{{ println }}x", "1 2 3|ab||\nx"},
    {"{{ println 1 \"a\" true }}", "1 a true\n"},
    {"{{ html \"<a href='x'>&\\\"\" 1 }} {{ \"<b>\" | html }}",
     "&lt;a href=&#39;x&#39;&gt;&amp;&#34;1 &lt;b&gt;"},
    {"{{ js \"it's \\\"<b>\\\" & = \\\\ \\n\\t \303\251\" }}",
     "it\\'s \\\"\\u003Cb\\u003E\\\" \\u0026 \\u003D \\\\ \\u000A\\u0009 \303\251"},
    {"{{ urlquery \"a b&c=d/\303\251\" 1 }}", "a+b%26c%3Dd%2F%C3%A91"},
    {"{{ printf \"%d %5d|%-5d|%05d %+d % d %x %X %#x %o %b %c %q %U\" 42 42 42 42 42 42 255 255 "
     "255 8 5 65 65 233 }}",
     "42    42|42   |00042 +42  42 ff FF 0xff 10 101 A 'A' U+00E9"},
    {"{{ printf \"%s|%10s|%-10s|%.2s|%q|%x|%X|% x|%#q\" \"abc\" \"abc\" \"abc\" \"abcdef\" "
     "\"a\\\"b\" \"hi\" \"hi\" \"hi\" \"raw\" }}",
     "abc|       abc|abc       |ab|\"a\\\"b\"|6869|6869|68 69|`raw`"},
    {"{{ printf \"%f %.2f %8.3f %-8.3f| %08.3f %+.1f %e %E %g %G %.3g\" 3.14159 3.14159 3.14159 "
     "3.14159 3.14159 3.14159 31415.9 31415.9 1e-7 1e-7 31415.9 }}",
     "3.141590 3.14    3.142 3.142   | 0003.142 +3.1 3.141590e+04 3.141590E+04 1e-07 1E-07 "
     "3.14e+04"},
    {"{{ printf \"%6g|%-10g|%010g|%+g\" 1.5 1.5 1.5 1.5 }}", "   1.5|1.5       |00000001.5|+1.5"},
    {"{{ printf \"%v %v %v %v %v\" 1 1.5 \"x\" true nil }}", "1 1.5 x true <nil>"},
    {"{{ printf \"%t %t\" true false }} {{ printf \"%5t|\" true }}", "true false  true|"},
    {"{{ printf \"%d\" \"x\" }} {{ printf \"%s\" 1.5 }} {{ printf \"%t\" 1 }} {{ printf \"%d\" 1.5 "
     "}} {{ printf \"%f\" 1 }}",
     "%!d(string=x) %!s(float64=1.5) %!t(int=1) %!d(float64=1.5) %!f(int=1)"},
    {"{{ printf \"%!\" }} {{ printf \"%z\" 1 }} {{ printf \"%\" }}",
     "%!!(MISSING) %!z(int=1) %!(NOVERB)"},
    {"{{ printf \"%d %d\" 1 }} {{ printf \"%d\" 1 2 \"x\" }}",
     "1 %!d(MISSING) 1%!(EXTRA int=2, string=x)"},
    {"{{ printf \"%*d|\" 5 42 }} {{ printf \"%-*d|\" 5 42 }} {{ printf \"%.*f\" 2 3.14159 }}",
     "   42| 42   | 3.14"},
    {"{{ printf \"%[2]d %[1]d\" 1 2 }} {{ printf \"%[3]d\" 1 }}", "2 1 %!d(BADINDEX)"},
    {"{{ printf \"%%\" }} {{ printf \"100%%\" }} {{ printf \"%5%\" }}", "% 100% %"},
    {"{{ printf \"%T %T %T %T\" 1 \"x\" 1.5 $labels }}", "int string float64 map[string]string"},
    {"{{ printf \"%v %s\" $labels $labels }}",
     "map[__name__:m instance:host.example:9100 job:node] map[__name__:m "
     "instance:host.example:9100 job:node]"},
    {"{{ printf \"%+v %#v\" 1 1 }} {{ printf \"%#v %#v %#v\" \"x\" 1.5 true }}",
     "1 1 \"x\" 1.5 true"},
    {"{{ printf \"%q\" $labels.job }} {{ printf \"%q\" 1.5 }}", "\"node\" %!q(float64=1.5)"},
    {"{{ printf \"%6.2f%%\" 12.345 }} {{ printf \"%.0f\" 2.5 }} {{ printf \"%.0f\" 3.5 }} {{ "
     "printf \"%.1f\" 0.25 }}",
     " 12.35% 2 4 0.2"},
    {"{{ printf \"%.3v\" 3.14159 }} {{ printf \"%10v|%-10v|\" 1.5 \"x\" }}",
     "3.14        1.5|x         |"},
    {"{{ printf \"% d|% d\" 5 -5 }} {{ printf \"%+q\" \"\303\251\" }} {{ printf \"%#U\" 233 }}",
     " 5|-5 \"\\u00e9\" U+00E9 '\303\251'"},
    {"{{ printf \"%.2f\" $value }} {{ $value | printf \"%.1f\" }} {{ printf \"%.0f\" $value }}",
     "1234567.50 1234567.5 1234568"},
    {"{{ printf \"%s\" nil }} {{ printf \"%d\" nil }}", "%!s(<nil>) %!d(<nil>)"},
    {"{{ printf \"%s\" }}", "%!s(MISSING)"},
    {"{{ printf \"%08d|%-08d|%+08d\" -42 42 42 }}", "-0000042|42      |+0000042"},
    {"{{ printf \"%5s|%05s|%.5d|%8.5d\" \"\303\251\" \"x\" 42 42 }}",
     "    \303\251|0000x|00042|   00042"},
    {"{{ printf \"%5c|%-5c|%05c\" 65 65 65 }}", "    A|A    |0000A"},
    {"{{ printf \"%e\" 0.0 }} {{ printf \"%g\" 100000.0 }} {{ printf \"%g\" 1000000.0 }} {{ printf "
     "\"%g\" 1e21 }} {{ printf \"%v\" 1e20 }}",
     "0.000000e+00 100000 1e+06 1e+21 1e+20"},
    {"{{ printf \"%s %v\" (query \"two\" | first) (query \"two\" | first).Labels }}",
     "&{map[__value__:x name:b] %!s(float64=2)} map[__value__:x name:b]"},
    {"{{ with $x := 5 }}{{ $x }}{{ . }}{{ end }} {{ with 0 }}a{{ else }}b{{ end }}", "55 b"},
    {"{{ with \"\" }}x{{ else with \"y\" }}{{ . }}{{ else }}z{{ end }}", "y"},
    {"{{ if 1 }}a{{ end }}{{ if 0 }}b{{ else }}c{{ end }}{{ if \"\" }}d{{ else if 1 }}e{{ end }}",
     "ace"},
    {"{{ if eq 1 1 | not }}a{{ else }}b{{ end }}", "b"},
    {"{{ if $x := 3 }}{{ $x }}{{ end }}", "3"},
    {"{{ $x := 1 }}{{ if true }}{{ $x = 2 }}{{ end }}{{ $x }} {{ if true }}{{ $x := 9 }}{{ end "
     "}}{{ $x }}",
     "2 2"},
    {"{{ $ := 1 }}{{ $ }}", "1"},
    {"{{ range 3 }}{{ . }}{{ end }} {{ range $i := 3 }}{{ $i }}{{ end }} {{ range 0 }}x{{ else "
     "}}none{{ end }}",
     "012 012 none"},
    {"{{ range -3 }}x{{ else }}none{{ end }}", "none"},
    {"{{ range $labels }}{{ . }};{{ end }}", "m;host.example:9100;node;"},
    {"{{ range $v := $labels }}{{ $v }};{{ end }}", "m;host.example:9100;node;"},
    {"{{ range $k, $v := args \"x\" 2 }}{{ $k }}={{ $v }};{{ end }}", "arg0=x;arg1=2;"},
    {"{{ range $i, $e := query \"two\" }}{{ $i }}:{{ $e.Labels.name }} {{ $e.Value }};{{ end }}",
     "0:b 2;1:a 1.500000000123e+12;"},
    {"{{ range query \"two\" }}{{ .Labels.name }}{{ if eq .Labels.name \"b\" }}{{ continue }}{{ "
     "end }}!{{ end }}",
     "ba!"},
    {"{{ range 10 }}{{ if gt . 3 }}{{ break }}{{ end }}{{ . }}{{ end }}", "0123"},
    {"{{ range 3 }}{{ range 3 }}{{ if eq . 1 }}{{ break }}{{ end }}{{ . }}{{ end }};{{ end }}",
     "0;0;0;"},
    {"{{ define \"t\" }}[{{ . }}]{{ end }}{{ template \"t\" 5 }}{{ template \"t\" \"x\" }}{{ "
     "template \"t\" }}",
     "[5][x][<no value>]"},
    {"{{ define \"t\" }}{{ $ }}{{ end }}{{ template \"t\" 7 }}", "7"},
    {"{{ block \"b\" $labels.job }}({{ . }}){{ end }}{{ template \"b\" 1 }}", "(node)(1)"},
    {"{{ define \"a\" }}{{ if true }}x{{ else }}y{{ end }}{{ end }}{{ template \"a\" }}", "x"},
    {"a {{- 1 -}} b {{- /* x */ -}} c", "a1bc"},
    {"a {{- \"x\" }} b", "ax b"},
    {"a{{ \"x\" -}}   b", "axb"},
    {"{{- 1 }}", "1"},
    {"{{-1}}", "-1"},
    {"{{- -1 -}}", "-1"},
    {"{{3 -}}", "3"},
    {"{{/* a */}}{{/* b */ -}}  x", "x"},
    {"{{/**/}}x", "x"},
    {"}}", "}}"},
    {"{{ (1) }} {{ (print 1 2) }} {{ (((\"x\"))) }}", "1 1 2 x"},
    {"{{ 1 | print 2 }} {{ \"x\" | printf \"%s-%s\" \"y\" }} {{ \"abc\" | len | printf \"%03d\" }}",
     "2 1 y-x 003"},
    {"{{ 1 | }}", "1"},
    {"{{ $labels := 5 }}{{ $labels }}", "5"},
    {"{{ .Labels.job }} {{ $.Labels.job }} {{ $.Value }}", "node node 1.2345675e+06"},
    {"{{ . }}", "{map[__name__:m instance:host.example:9100 job:node] map[site:lab] "
                "http://brasa.example:9090/prefix 1.2345675e+06}"},
    {"{{ (query \"two\" | first).Labels.name }} {{ (query \"two\" | first).Value }}", "b 2"},
    {"{{ query \"two\" | first }}", "{map[__value__:x name:b] 2}"},
    {"{{ query $labels.missing | len }}", "2"},
    {"{{ query \"two\" | first | label \"name\" }} {{ query \"two\" | first | value }} {{ query "
     "\"two\" | first | strvalue }}",
     "b 2 x"},
    {"{{ (args 1 2).arg0 }} {{ (args 1 2).arg9 }} {{ (args \"x\").arg0 }}", "1 <no value> x"},
    {"{{ args 1 \"b\" 2.5 }}", "map[arg0:1 arg1:b arg2:2.5]"},
    {"{{ args }}", "map[]"},
    {"{{ args nil }}", "map[arg0:<nil>]"},
    {"{{ toUpper \"a\303\251\" }} {{ toLower \"A\303\211\" }} {{ title \"hello wORLD foo-bar it's "
     "x_y 3d \303\251a\" }}",
     "A\303\211 a\303\251 Hello WORLD Foo-Bar It'S X_y 3d \303\211a"},
    {"{{ toTime 0 }} {{ toTime 1500000000.123 }} {{ toDuration 90 }} {{ toDuration 0.0015 }} {{ "
     "toDuration 0 }}",
     "1970-01-01 00:00:00 +0000 UTC 2017-07-14 02:40:00.123 +0000 UTC 1m30s 1.5ms 0s"},
    {"{{ (toTime 1500000000).Year }} {{ (toTime 1500000000).Unix }} {{ (toTime 1500000000).Format "
     "\"2006-01-02T15:04:05Z07:00\" }}",
     "2017 1500000000 2017-07-14T02:40:00Z"},
    {"{{ (toTime 1500000000).Month }} {{ (toTime 1500000000).Day }} {{ (toTime 1500000000).Hour }} "
     "{{ (toTime 1500000000).Minute }} {{ (toTime 1500000000).Second }} {{ (toTime "
     "1500000000).Weekday }} {{ (toTime 1500000000).YearDay }}",
     "July 14 2 40 0 Friday 195"},
    {"{{ (toDuration 3690).Hours }} {{ (toDuration 90).Minutes }} {{ (toDuration 1.5).Seconds }} "
     "{{ (toDuration 1.5).Milliseconds }} {{ (toDuration 1.5).String }}",
     "1.025 1.5 1.5 1500 1.5s"},
    {"{{ $t := toTime 1500000000 }}{{ $t.Format \"Jan 2, 2006 at 3:04pm (MST)\" }} {{ $t.Format "
     "\"Mon Monday January 01 1 02 2 _2 15 03 3 04 4 05 5 PM 2006 06 .000\" }}",
     "Jul 14, 2017 at 2:40am (UTC) Fri Friday July 07 7 14 14 14 02 02 2 40 40 00 0 AM 2017 17 "
     ".000"},
    {"{{ (toTime 1500000000.123).UnixMilli }} {{ (toTime 1500000000.123).Format \"15:04:05.000\" "
     "}}",
     "1500000000123 02:40:00.123"},
    {"{{ now }}", "1.500000000123e+09"},
    {"{{ externalURL }}{{ $externalURL }}{{ .ExternalURL }}{{ $externalLabels.site }}",
     "http://brasa.example:9090/prefixhttp://brasa.example:9090/prefixhttp://brasa.example:9090/"
     "prefixlab"},
    {"{{ $ }}", "{map[__name__:m instance:host.example:9100 job:node] map[site:lab] "
                "http://brasa.example:9090/prefix 1.2345675e+06}"},
    {"{{ $labels }}", "map[__name__:m instance:host.example:9100 job:node]"},
    {"{{ .Labels }}", "map[__name__:m instance:host.example:9100 job:node]"},
    {"{{ if .Labels }}y{{ end }}{{ if . }}z{{ end }}{{ if query \"none\" }}n{{ else }}e{{ end }}",
     "yze"},
    {"a{{/* x */}}b {{ \"}}\" }} {{ `}}` }}", "ab }} }}"},
    {"{ {{ \"{\" }} }", "{ { }"},
    {"{{ print\n1\n2 }}", "1 2"},
    {"{{ and 1 2 | print }} {{ or nil 1 }} {{ and nil 1 }}", "2 1 <no value>"},
    {"{{ print (and 1 0) (or 0 5) }} {{ true | and 1 }} {{ 0 | or 0 }}", "0 5 true 0"},
    {"{{ printf \"%s\" (printf \"%d\" 5) }}", "5"},
    {"{{ $a := 1 }}{{ $b := $a }}{{ $a = 5 }}{{ $b }}{{ $a }}", "15"},
    {"{{ define \"r\" }}{{ if gt . 0 }}{{ . }}{{ end }}{{ end }}{{ template \"r\" 3 }}", "3"},
    {"{{ template \"t\" . }}{{ define \"t\" }}{{ .Value }}{{ end }}", "1.2345675e+06"},
    {"{{ \"a\" | html | printf \"%s\" }} {{ printf \"%s\" \"a\" | len }}", "a 1"},
    {"{{ $x := \"a\" }}{{ $x := \"b\" }}{{ $x }}", "b"},
    {"{{ 1.0 | print }} {{ 100000000.0 }} {{ 0.1 }} {{ 1234567890123456789.0 }}",
     "1 1e+08 0.1 1.2345678901234568e+18"},
    {"{{ index $labels \"job\" | toUpper }} {{ $labels.job | toUpper | printf \"%-6s|\" }}",
     "NODE NODE  |"},
    {"{{ if and (gt $value 1.0) (lt $value 1e9) }}in{{ end }}{{ if or (gt $value 1e9) false "
     "}}out{{ end }}",
     "in"},
    {"{{ with query \"two\" }}{{ . | first | value }}{{ end }}", "2"},
    {"{{ range query \"two\" }}{{ $labels.job }}{{ $.Value }}{{ end }}",
     "node1.2345675e+06node1.2345675e+06"},
    {"{{ printf \"%v\" (toDuration 90) }} {{ printf \"%s\" (toTime 0) }} {{ print (toDuration 90) "
     "}}",
     "1m30s 1970-01-01 00:00:00 +0000 UTC 1m30s"},
    {"{{ eq \"node\" $labels.job }} {{ eq $labels.missing \"\" }} {{ eq 1.5 $value }}",
     "true true false"},
    {"{{ print $value }} {{ printf \"%v\" $value }} {{ printf \"%d\" $value }}",
     "1.2345675e+06 1.2345675e+06 %!d(float64=1.2345675e+06)"},
    {"{{ not $labels.missing }} {{ if $labels.missing }}a{{ else }}b{{ end }}", "true b"},
};

static const struct row refused[] = {
    {"{{ 0x_ff }} {{ 1__0 }}",
     "error parsing template __alert_X: template: __alert_X:1: illegal number syntax: \"1__0\""},
    {"{{ 08 }}",
     "error parsing template __alert_X: template: __alert_X:1: integer overflow: \"08\""},
    {"{{ 9223372036854775808 }}",
     "error executing template __alert_X: template: __alert_X:1:115: executing \"__alert_X\" at "
     "<9223372036854775808>: 9223372036854775808 overflows int"},
    {"{{ 'xy' }}",
     "error parsing template __alert_X: template: __alert_X:1: malformed character constant: 'xy'"},
    {"{{ '' }}", "error parsing template __alert_X: template: __alert_X:1: invalid syntax"},
    {"{{ \"\\q\" }}", "error parsing template __alert_X: template: __alert_X:1: invalid syntax"},
    {"{{ \"\\400\" }}", "error parsing template __alert_X: template: __alert_X:1: invalid syntax"},
    {"{{ \"\\ud800\" }}",
     "error parsing template __alert_X: template: __alert_X:1: invalid syntax"},
    {"{{ nil }}", "error executing template __alert_X: template: __alert_X:1:115: executing "
                  "\"__alert_X\" at <nil>: nil is not a command"},
    {"{{ and true 1 \"x\" }} {{ and }}",
     "error executing template __alert_X: template: __alert_X:1:136: executing \"__alert_X\" at "
     "<and>: wrong number of args for and: want at least 1 got 0"},
    {"{{ eq 1 \"a\" }}",
     "error executing template __alert_X: template: __alert_X:1:115: executing \"__alert_X\" at "
     "<eq 1 \"a\">: error calling eq: incompatible types for comparison: int and string"},
    {"{{ eq $labels $labels }}",
     "error executing template __alert_X: template: __alert_X:1:115: executing \"__alert_X\" at "
     "<eq $labels $labels>: error calling eq: non-comparable type map[__name__:m "
     "instance:host.example:9100 job:node]: map[string]string"},
    {"{{ eq 1 }}", "error executing template __alert_X: template: __alert_X:1:115: executing "
                   "\"__alert_X\" at <eq 1>: error calling eq: missing argument for comparison"},
    {"{{ eq }}", "error executing template __alert_X: template: __alert_X:1:115: executing "
                 "\"__alert_X\" at <eq>: wrong number of args for eq: want at least 1 got 0"},
    {"{{ ne 1 2 }} {{ ne \"a\" \"a\" }} {{ ne 1 1.0 }}",
     "error executing template __alert_X: template: __alert_X:1:145: executing \"__alert_X\" at "
     "<ne 1 1.0>: error calling ne: incompatible types for comparison: int and float64"},
    {"{{ lt true false }}",
     "error executing template __alert_X: template: __alert_X:1:115: executing \"__alert_X\" at "
     "<lt true false>: error calling lt: invalid type for comparison"},
    {"{{ lt 1 2.0 }}",
     "error executing template __alert_X: template: __alert_X:1:115: executing \"__alert_X\" at "
     "<lt 1 2.0>: error calling lt: incompatible types for comparison: int and float64"},
    {"{{ lt $labels 1 }}",
     "error executing template __alert_X: template: __alert_X:1:115: executing \"__alert_X\" at "
     "<lt $labels 1>: error calling lt: invalid type for comparison"},
    {"{{ lt nil 1 }}",
     "error executing template __alert_X: template: __alert_X:1:115: executing \"__alert_X\" at "
     "<lt nil 1>: error calling lt: invalid type for comparison"},
    {"{{ gt $value 100 }}",
     "error executing template __alert_X: template: __alert_X:1:115: executing \"__alert_X\" at "
     "<gt $value 100>: error calling gt: incompatible types for comparison: float64 and int"},
    {"{{ len nil }}",
     "error executing template __alert_X: template: __alert_X:1:115: executing \"__alert_X\" at "
     "<len nil>: error calling len: reflect: call of reflect.Value.Type on zero Value"},
    {"{{ len 1.5 }}", "error executing template __alert_X: template: __alert_X:1:115: executing "
                      "\"__alert_X\" at <len 1.5>: error calling len: len of type float64"},
    {"{{ len }}", "error executing template __alert_X: template: __alert_X:1:115: executing "
                  "\"__alert_X\" at <len>: wrong number of args for len: want 1 got 0"},
    {"{{ len \"a\" \"b\" }}",
     "error executing template __alert_X: template: __alert_X:1:115: executing \"__alert_X\" at "
     "<len>: wrong number of args for len: want 1 got 2"},
    {"{{ index $labels 1 }}",
     "error executing template __alert_X: template: __alert_X:1:115: executing \"__alert_X\" at "
     "<index $labels 1>: error calling index: value has type int; should be string"},
    {"{{ index \"abc\" 3 }}",
     "error executing template __alert_X: template: __alert_X:1:115: executing \"__alert_X\" at "
     "<index \"abc\" 3>: error calling index: reflect: string index out of range"},
    {"{{ index \"abc\" -1 }}",
     "error executing template __alert_X: template: __alert_X:1:115: executing \"__alert_X\" at "
     "<index \"abc\" -1>: error calling index: index out of range: -1"},
    {"{{ index \"abc\" \"x\" }}",
     "error executing template __alert_X: template: __alert_X:1:115: executing \"__alert_X\" at "
     "<index \"abc\" \"x\">: error calling index: cannot index slice/array with type string"},
    {"{{ index 1 2 }}",
     "error executing template __alert_X: template: __alert_X:1:115: executing \"__alert_X\" at "
     "<index 1 2>: error calling index: can't index item of type int"},
    {"{{ index nil 1 }}",
     "error executing template __alert_X: template: __alert_X:1:115: executing \"__alert_X\" at "
     "<index nil 1>: error calling index: index of untyped nil"},
    {"{{ index (query \"two\") 0 \"Labels\" }}",
     "error executing template __alert_X: template: __alert_X:1:115: executing \"__alert_X\" at "
     "<index (query \"two\") 0 \"Labels\">: error calling index: can't index item of type "
     "template.sample"},
    {"{{ index (query \"two\") 5 }}",
     "error executing template __alert_X: template: __alert_X:1:115: executing \"__alert_X\" at "
     "<index (query \"two\") 5>: error calling index: index out of range: 5"},
    {"{{ index }}",
     "error executing template __alert_X: template: __alert_X:1:115: executing \"__alert_X\" at "
     "<index>: wrong number of args for index: want at least 1 got 0"},
    {"{{ slice \"abc\" 2 1 }}",
     "error executing template __alert_X: template: __alert_X:1:115: executing \"__alert_X\" at "
     "<slice \"abc\" 2 1>: error calling slice: invalid slice index: 2 > 1"},
    {"{{ slice \"abc\" 4 }}",
     "error executing template __alert_X: template: __alert_X:1:115: executing \"__alert_X\" at "
     "<slice \"abc\" 4>: error calling slice: index out of range: 4"},
    {"{{ slice \"abc\" 1 2 3 }}",
     "error executing template __alert_X: template: __alert_X:1:115: executing \"__alert_X\" at "
     "<slice \"abc\" 1 2 3>: error calling slice: cannot 3-index slice a string"},
    {"{{ slice 5 1 }}",
     "error executing template __alert_X: template: __alert_X:1:115: executing \"__alert_X\" at "
     "<slice 5 1>: error calling slice: can't slice item of type int"},
    {"{{ slice nil 1 }}",
     "error executing template __alert_X: template: __alert_X:1:115: executing \"__alert_X\" at "
     "<slice nil 1>: error calling slice: slice of untyped nil"},
    {"{{ slice \"abc\" \"x\" }}",
     "error executing template __alert_X: template: __alert_X:1:115: executing \"__alert_X\" at "
     "<slice \"abc\" \"x\">: error calling slice: cannot index slice/array with type string"},
    {"{{ call 1 }}", "error executing template __alert_X: template: __alert_X:1:115: executing "
                     "\"__alert_X\" at <call 1>: error calling call: non-function 1 of type int"},
    {"{{ call nil }}", "error executing template __alert_X: template: __alert_X:1:115: executing "
                       "\"__alert_X\" at <call nil>: error calling call: call of nil"},
    {"{{ call }}", "error executing template __alert_X: template: __alert_X:1:115: executing "
                   "\"__alert_X\" at <call>: wrong number of args for call: want at least 1 got 0"},
    {"{{ printf 5 }}", "error executing template __alert_X: template: __alert_X:1:122: executing "
                       "\"__alert_X\" at <5>: expected string; found 5"},
    {"{{ if $x := 3 }}{{ end }}{{ $x }}",
     "error parsing template __alert_X: template: __alert_X:1: undefined variable \"$x\""},
    {"{{ $x = 1 }}", "error executing template __alert_X: template: __alert_X:1:120: executing "
                     "\"__alert_X\" at <1>: undefined variable: $x"},
    {"{{ $x, $y := 1 }}",
     "error parsing template __alert_X: template: __alert_X:1: too many declarations in command"},
    {"{{ range $i, $c := \"abc\" }}{{ $i }}{{ $c }} {{ end }}",
     "error executing template __alert_X: template: __alert_X:1:131: executing \"__alert_X\" at "
     "<\"abc\">: range can't iterate over abc"},
    {"{{ range $i, $j := 3 }}{{ $i }}{{ $j }} {{ end }}",
     "error executing template __alert_X: template: __alert_X:1:131: executing \"__alert_X\" at "
     "<3>: can't use 3 to iterate over more than one variable"},
    {"{{ range \"\" }}x{{ else }}none{{ end }}",
     "error executing template __alert_X: template: __alert_X:1:121: executing \"__alert_X\" at "
     "<\"\">: range can't iterate over "},
    {"{{ range nil }}x{{ end }}", "error executing template __alert_X: template: __alert_X:1:121: "
                                  "executing \"__alert_X\" at <nil>: nil is not a command"},
    {"{{ range 1.5 }}x{{ end }}", "error executing template __alert_X: template: __alert_X:1:121: "
                                  "executing \"__alert_X\" at <1.5>: range can't iterate over 1.5"},
    {"{{ range true }}x{{ end }}",
     "error executing template __alert_X: template: __alert_X:1:121: executing \"__alert_X\" at "
     "<true>: range can't iterate over true"},
    {"{{ range $i, $v, $w := 3 }}{{ end }}",
     "error parsing template __alert_X: template: __alert_X:1: too many declarations in range"},
    {"{{ range $i }}{{ end }}",
     "error parsing template __alert_X: template: __alert_X:1: undefined variable \"$i\""},
    {"{{ continue }}",
     "error parsing template __alert_X: template: __alert_X:1: {{continue}} outside {{range}}"},
    {"{{ if true }}{{ break }}{{ end }}",
     "error parsing template __alert_X: template: __alert_X:1: {{break}} outside {{range}}"},
    {"{{ range 1 }}{{ define \"x\" }}{{ end }}{{ end }}",
     "error parsing template __alert_X: template: __alert_X:1: unexpected <define> in command"},
    {"{{ define \"t\" }}{{ $labels }}{{ end }}",
     "error parsing template __alert_X: template: __alert_X:1: undefined variable \"$labels\""},
    {"{{ define \"t\" }}a{{ end }}{{ define \"t\" }}b{{ end }}{{ template \"t\" }}",
     "error parsing template __alert_X: template: __alert_X:1: template: multiple definition of "
     "template \"t\""},
    {"{{ template \"nope\" }}",
     "error executing template __alert_X: template: __alert_X:1:124: executing \"__alert_X\" at "
     "<{{template \"nope\"}}>: template \"nope\" not defined"},
    {"{{ template \"t\" 1 2 }}",
     "error executing template __alert_X: template: __alert_X:1:124: executing \"__alert_X\" at "
     "<{{template \"t\" 1 2}}>: template \"t\" not defined"},
    {"{{ template }}", "error parsing template __alert_X: template: __alert_X:1: unexpected \"}}\" "
                       "in template clause"},
    {"{{ template 5 }}", "error parsing template __alert_X: template: __alert_X:1: unexpected "
                         "\"5\" in template clause"},
    {"{{ define }}{{ end }}",
     "error parsing template __alert_X: template: __alert_X:1: unexpected \"}}\" in define clause"},
    {"{{ define \"x\" }}",
     "error parsing template __alert_X: template: __alert_X:1: unexpected EOF"},
    {"{{ define \"x\" 1 }}{{ end }}",
     "error parsing template __alert_X: template: __alert_X:1: unexpected \"1\" in define clause"},
    {"{{ define \"a\" }}x{{ else }}y{{ end }}",
     "error parsing template __alert_X: template: __alert_X:1: unexpected {{else}} in define "
     "clause"},
    {"{{3-}}",
     "error parsing template __alert_X: template: __alert_X:1: bad number syntax: \"3-\""},
    {"{{ /* comment */ }}",
     "error parsing template __alert_X: template: __alert_X:1: unexpected \"/\" in command"},
    {"{{/*}}", "error parsing template __alert_X: template: __alert_X:1: unclosed comment"},
    {"{{/* a */ x}}", "error parsing template __alert_X: template: __alert_X:1: comment ends "
                      "before closing delimiter"},
    {"{{", "error parsing template __alert_X: template: __alert_X:1: unclosed action"},
    {"{{ }",
     "error parsing template __alert_X: template: __alert_X:1: unexpected \"}\" in command"},
    {"{{ }}", "error parsing template __alert_X: template: __alert_X:1: missing value for command"},
    {"{{}}", "error parsing template __alert_X: template: __alert_X:1: missing value for command"},
    {"{{ { }}",
     "error parsing template __alert_X: template: __alert_X:1: unexpected \"{\" in command"},
    {"{{ ( }}", "error parsing template __alert_X: template: __alert_X:1: unclosed left paren"},
    {"{{ ) }}", "error parsing template __alert_X: template: __alert_X:1: unexpected right paren"},
    {"{{ () }}", "error parsing template __alert_X: template: __alert_X:1: missing value for "
                 "parenthesized pipeline"},
    {"{{ (1 }}", "error parsing template __alert_X: template: __alert_X:1: unclosed left paren"},
    {"{{ 1) }}", "error parsing template __alert_X: template: __alert_X:1: unexpected right paren"},
    {"{{ 1 2 }}", "error executing template __alert_X: template: __alert_X:1:115: executing "
                  "\"__alert_X\" at <1>: can't give argument to non-function 1"},
    {"{{ \"a\" \"b\" }}",
     "error executing template __alert_X: template: __alert_X:1:115: executing \"__alert_X\" at "
     "<\"a\">: can't give argument to non-function \"a\""},
    {"{{ | 1 }}",
     "error parsing template __alert_X: template: __alert_X:1: unexpected \"|\" in command"},
    {"{{ 1 | 2 }}", "error parsing template __alert_X: template: __alert_X:1: non executable "
                    "command in pipeline stage 2"},
    {"{{ 1 | \"x\" }}", "error parsing template __alert_X: template: __alert_X:1: non executable "
                        "command in pipeline stage 2"},
    {"{{ 1 | . }}", "error parsing template __alert_X: template: __alert_X:1: non executable "
                    "command in pipeline stage 2"},
    {"{{ 1 | $value }}", "error executing template __alert_X: template: __alert_X:1:119: executing "
                         "\"__alert_X\" at <$value>: can't give argument to non-function $value"},
    {"{{ 1 | nil }}", "error parsing template __alert_X: template: __alert_X:1: non executable "
                      "command in pipeline stage 2"},
    {"{{ print | nil }}", "error parsing template __alert_X: template: __alert_X:1: non executable "
                          "command in pipeline stage 2"},
    {"{{ print || 1 }}",
     "error parsing template __alert_X: template: __alert_X:1: unexpected \"|\" in command"},
    {"{{ print 1, 2 }}",
     "error parsing template __alert_X: template: __alert_X:1: unexpected \",\" in operand"},
    {"{{ print = 1 }}",
     "error parsing template __alert_X: template: __alert_X:1: unexpected \"=\" in operand"},
    {"{{ print : 1 }}", "error parsing template __alert_X: template: __alert_X:1: expected :="},
    {"{{ print 1 := 2 }}",
     "error parsing template __alert_X: template: __alert_X:1: unexpected \":=\" in operand"},
    {"{{ $labels. }}",
     "error parsing template __alert_X: template: __alert_X:1: unexpected <.> in operand"},
    {"{{ $labels.job.x }}",
     "error executing template __alert_X: template: __alert_X:1:122: executing \"__alert_X\" at "
     "<$labels.job.x>: can't evaluate field x in type string"},
    {"{{ $labels.missing.x }}",
     "error executing template __alert_X: template: __alert_X:1:122: executing \"__alert_X\" at "
     "<$labels.missing.x>: can't evaluate field x in type string"},
    {"{{ .labels }}",
     "error executing template __alert_X: template: __alert_X:1:115: executing \"__alert_X\" at "
     "<.labels>: can't evaluate field labels in type struct { Labels map[string]string; "
     "ExternalLabels map[string]string; ExternalURL string; Value interface {} }"},
    {"{{ .Value.Foo }}",
     "error executing template __alert_X: template: __alert_X:1:121: executing \"__alert_X\" at "
     "<.Value.Foo>: can't evaluate field Foo in type interface {}"},
    {"{{ $value.x }}", "error executing template __alert_X: template: __alert_X:1:121: executing "
                       "\"__alert_X\" at <$value.x>: can't evaluate field x in type float64"},
    {"{{ \"x\".Foo }}", "error parsing template __alert_X: template: __alert_X:1: unexpected . "
                        "after term \"\\\"x\\\"\""},
    {"{{ 1.Foo }}",
     "error parsing template __alert_X: template: __alert_X:1: bad number syntax: \"1.F\""},
    {"{{ (1).Foo }}", "error executing template __alert_X: template: __alert_X:1:116: executing "
                      "\"__alert_X\" at <1>: can't evaluate field Foo in type int"},
    {"{{ nil.Foo }}",
     "error parsing template __alert_X: template: __alert_X:1: unexpected . after term \"nil\""},
    {"{{ true.Foo }}",
     "error parsing template __alert_X: template: __alert_X:1: unexpected . after term \"true\""},
    {"{{ print.Foo }}", "error executing template __alert_X: template: __alert_X:1:115: executing "
                        "\"__alert_X\" at <print>: can't evaluate field Foo in type string"},
    {"{{ (query \"two\").Foo }}",
     "error executing template __alert_X: template: __alert_X:1:122: executing \"__alert_X\" at "
     "<\"two\">: can't evaluate field Foo in type template.queryResult"},
    {"{{ (query \"two\" | first).Foo }}",
     "error executing template __alert_X: template: __alert_X:1:130: executing \"__alert_X\" at "
     "<first>: can't evaluate field Foo in type *template.sample"},
    {"{{ query \"none\" | first }}",
     "error executing template __alert_X: template: __alert_X:1:130: executing \"__alert_X\" at "
     "<first>: error calling first: first() called on vector with no elements"},
    {"{{ query \"bad\" }}",
     "error executing template __alert_X: template: __alert_X:1:115: executing \"__alert_X\" at "
     "<query \"bad\">: error calling query: query went wrong"},
    {"{{ query 5 }}", "error executing template __alert_X: template: __alert_X:1:121: executing "
                      "\"__alert_X\" at <5>: expected string; found 5"},
    {"{{ query }}", "error executing template __alert_X: template: __alert_X:1:115: executing "
                    "\"__alert_X\" at <query>: wrong number of args for query: want 1 got 0"},
    {"{{ query \"a\" \"b\" }}",
     "error executing template __alert_X: template: __alert_X:1:115: executing \"__alert_X\" at "
     "<query>: wrong number of args for query: want 1 got 2"},
    {"{{ query nil }}", "error executing template __alert_X: template: __alert_X:1:121: executing "
                        "\"__alert_X\" at <nil>: cannot assign nil to string"},
    {"{{ first 5 }}", "error executing template __alert_X: template: __alert_X:1:121: executing "
                      "\"__alert_X\" at <5>: can't handle 5 for arg of type template.queryResult"},
    {"{{ first nil }}",
     "error executing template __alert_X: template: __alert_X:1:115: executing \"__alert_X\" at "
     "<first nil>: error calling first: first() called on vector with no elements"},
    {"{{ label \"name\" 5 }}",
     "error executing template __alert_X: template: __alert_X:1:128: executing \"__alert_X\" at "
     "<5>: can't handle 5 for arg of type *template.sample"},
    {"{{ label 5 (query \"two\" | first) }}",
     "error executing template __alert_X: template: __alert_X:1:121: executing \"__alert_X\" at "
     "<5>: expected string; found 5"},
    {"{{ toUpper 1 }}", "error executing template __alert_X: template: __alert_X:1:123: executing "
                        "\"__alert_X\" at <1>: expected string; found 1"},
    {"{{ (toTime 0).Nope }}",
     "error executing template __alert_X: template: __alert_X:1:123: executing \"__alert_X\" at "
     "<0>: can't evaluate field Nope in type *time.Time"},
    {"{{ (toDuration 0).Nope }}",
     "error executing template __alert_X: template: __alert_X:1:127: executing \"__alert_X\" at "
     "<0>: can't evaluate field Nope in type *time.Duration"},
    {"{{ (toTime 5).Format }}",
     "error executing template __alert_X: template: __alert_X:1:123: executing \"__alert_X\" at "
     "<5>: wrong number of args for Format: want 1 got 0"},
    {"{{ now 1 }}", "error executing template __alert_X: template: __alert_X:1:115: executing "
                    "\"__alert_X\" at <now>: wrong number of args for now: want 0 got 1"},
    {"{{ foo }}",
     "error parsing template __alert_X: template: __alert_X:1: function \"foo\" not defined"},
    {"{{ Foo }}",
     "error parsing template __alert_X: template: __alert_X:1: function \"Foo\" not defined"},
    {"{{ end }}", "error parsing template __alert_X: template: __alert_X:1: unexpected {{end}}"},
    {"{{ else }}", "error parsing template __alert_X: template: __alert_X:1: unexpected {{else}}"},
    {"{{ else if 1 }}",
     "error parsing template __alert_X: template: __alert_X:1: unexpected {{else}}"},
    {"{{ if 1 }}{{ else }}{{ else }}{{ end }}",
     "error parsing template __alert_X: template: __alert_X:1: expected end; found {{else}}"},
    {"{{ if 1 }}{{ else if }}{{ end }}",
     "error parsing template __alert_X: template: __alert_X:1: missing value for if"},
    {"{{ if 1 }}{{ else foo }}{{ end }}",
     "error parsing template __alert_X: template: __alert_X:1: unexpected \"foo\" in else"},
    {"{{ if }}{{ end }}",
     "error parsing template __alert_X: template: __alert_X:1: missing value for if"},
    {"{{ if 1 }}", "error parsing template __alert_X: template: __alert_X:1: unexpected EOF"},
    {"{{ if 1 }}{{ end 5 }}",
     "error parsing template __alert_X: template: __alert_X:1: unexpected \"5\" in end"},
    {"{{ with }}{{ end }}",
     "error parsing template __alert_X: template: __alert_X:1: missing value for with"},
    {"{{ range }}{{ end }}",
     "error parsing template __alert_X: template: __alert_X:1: missing value for range"},
    {"{{ range 1 }}", "error parsing template __alert_X: template: __alert_X:1: unexpected EOF"},
    {"{{ with 1 }}{{ else if 1 }}{{ end }}",
     "error parsing template __alert_X: template: __alert_X:1: unexpected <if> in input"},
    {"{{ if 1 }}{{ else with 1 }}{{ end }}",
     "error parsing template __alert_X: template: __alert_X:1: unexpected <with> in input"},
    {"{{ range 1 }}{{ else if 1 }}{{ end }}",
     "error parsing template __alert_X: template: __alert_X:1: unexpected <if> in input"},
    {"{{ \"abc",
     "error parsing template __alert_X: template: __alert_X:1: unterminated quoted string"},
    {"{{ \"abc\" ", "error parsing template __alert_X: template: __alert_X:1: unclosed action"},
    {"{{ `abc",
     "error parsing template __alert_X: template: __alert_X:1: unterminated raw quoted string"},
    {"{{ 'a",
     "error parsing template __alert_X: template: __alert_X:1: unterminated character constant"},
    {"{{ @ }}",
     "error parsing template __alert_X: template: __alert_X:1: unexpected \"@\" in command"},
    {"{{ # }}",
     "error parsing template __alert_X: template: __alert_X:1: unexpected \"#\" in command"},
    {"{{ 1a }}",
     "error parsing template __alert_X: template: __alert_X:1: bad number syntax: \"1a\""},
    {"{{ 1.2.3 }}",
     "error parsing template __alert_X: template: __alert_X:1: unexpected \".3\" in operand"},
    {"{{ 0x }}",
     "error parsing template __alert_X: template: __alert_X:1: illegal number syntax: \"0x\""},
    {"{{ +x }}",
     "error parsing template __alert_X: template: __alert_X:1: bad number syntax: \"+x\""},
    {"{{ a.b }}",
     "error parsing template __alert_X: template: __alert_X:1: function \"a\" not defined"},
    {"{{ $labels.a-b }}",
     "error parsing template __alert_X: template: __alert_X:1: bad character U+002D '-'"},
    {"{{ $labels.a b }}",
     "error parsing template __alert_X: template: __alert_X:1: function \"b\" not defined"},
    {"{{ $x }}",
     "error parsing template __alert_X: template: __alert_X:1: undefined variable \"$x\""},
    {"multi{{ 1 }}\nline{{ .Nope }}",
     "error executing template __alert_X: template: __alert_X:2:7: executing \"__alert_X\" at "
     "<.Nope>: can't evaluate field Nope in type struct { Labels map[string]string; ExternalLabels "
     "map[string]string; ExternalURL string; Value interface {} }"},
    {"x\n{{ if }}\n{{ end }}",
     "error parsing template __alert_X: template: __alert_X:2: missing value for if"},
    {"{{ not }}", "error executing template __alert_X: template: __alert_X:1:115: executing "
                  "\"__alert_X\" at <not>: wrong number of args for not: want 1 got 0"},
    {"{{ not 1 2 }}", "error executing template __alert_X: template: __alert_X:1:115: executing "
                      "\"__alert_X\" at <not>: wrong number of args for not: want 1 got 2"},
    {"{{ break }}",
     "error parsing template __alert_X: template: __alert_X:1: {{break}} outside {{range}}"},
};

static enum err_code two_samples(void *ctx, struct str expr, int64_t ts_ms, struct arena *arena,
                                 struct template_sample **out, size_t *out_count, struct err *err) {
    (void)ctx;
    (void)ts_ms;
    if (str_eq(expr, STR("bad"))) {
        return err_set(err, ERR_EXECUTION, "query went wrong");
    }
    struct template_sample *s = arena_zalloc(arena, 2 * sizeof(*s));
    const struct label b[] = {{STR("name"), STR("b")}, {STR("__value__"), STR("x")}};
    const struct label a[] = {{STR("name"), STR("a")}};
    s[0] = (struct template_sample){labels_of(arena, b, 2), 2};
    s[1] = (struct template_sample){labels_of(arena, a, 1), 1500000000123.0};
    *out = s;
    *out_count = str_eq(expr, STR("none")) ? 0 : 2;
    return ERR_OK;
}

/* The expansion, or the text of the error; in arena. */
static struct str answer(struct arena *arena, const char *text) {
    static const struct label labels[] = {{STR_INIT("__name__"), STR_INIT("m")},
                                          {STR_INIT("instance"), STR_INIT("host.example:9100")},
                                          {STR_INIT("job"), STR_INIT("node")}};
    static const struct label external[] = {{STR_INIT("site"), STR_INIT("lab")}};
    const struct template_data data = {
        .labels = labels_of(arena, labels, 3),
        .external_labels = labels_of(arena, external, 1),
        .external_url = STR("http://brasa.example:9090/prefix"),
        .value = 1234567.5,
        .ts_ms = 1500000000123,
        .query = two_samples,
    };
    struct template *t = NULL;
    struct str out;
    struct err err;
    enum err_code code = template_parse(arena, STR("__alert_X"), str_of(text), &t, &err);
    if (code == ERR_OK) {
        code = template_expand(t, &data, arena, &out, &err);
    }
    return code == ERR_OK ? out : arena_str(arena, str_of(err.text));
}

static void check_rows(const struct row *rows, size_t count) {
    size_t wrong = 0;
    for (size_t i = 0; i < count; i++) {
        struct arena arena;
        arena_init(&arena, 0);
        const struct str got = answer(&arena, rows[i].text);
        if (!str_eq(got, str_of(rows[i].want))) {
            print_error("%s\n    got  %.*s\n    want %s\n", rows[i].text, STR_ARG(got),
                        rows[i].want);
            wrong++;
        }
        arena_release(&arena);
    }
    assert_int_equal(wrong, 0);
}

static void templates_expand_as_in_go(void **state) {
    (void)state;
    check_rows(expanded, sizeof(expanded) / sizeof(expanded[0]));
}

static void templates_fail_as_in_go(void **state) {
    (void)state;
    check_rows(refused, sizeof(refused) / sizeof(refused[0]));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(templates_expand_as_in_go),
        cmocka_unit_test(templates_fail_as_in_go),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
