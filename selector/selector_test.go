package selector

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestMatch(t *testing.T) {
	for _, c := range []struct {
		text, tags string
		want       bool
	}{
		{"gpu", "gpu", true},
		{"gpu", "gpu=a100", true},
		{"gpu", "gpus", false},
		{"cuda>=12.0 && cuda<13", "cuda=12.10", true},
		{"cuda>12.9", "cuda=12.10", true},
		{"cuda=12", "cuda=12.0", true},
		{"cuda=v12", "cuda=12.0.0", true},
		{"cuda<12", "cuda=new", false},
		{"n<0", "n=-3", true},
		{"n>-4", "n=-3", true},
		{"n>=00000000000000000000000012345678901234567890", "n=12345678901234567890", true},
		{"zone in (a, b)", "zone=b", true},
		{"zone not in (a, b)", "zone=b", false},
		{"zone not in (a, b)", "", true},
		{"zone!=a", "zone=b", true},
		{"zone != a", "zone=a zone=b", false},
		{"!spot && (avx2 || avx512)", "avx512", true},
		{"a || b && c", "a", true},
		{"(a || b) && c", "a", false},
		{"!(a || b)", "c", true},
		{"!(a && b)", "a b", false},
		{`"a b" = 'c"d'`, `x`, false},
		{`in`, `in`, true},
		{`not in (a)`, `not=a`, true},
		{"", "x", true},
	} {
		e, err := Parse(c.text)
		require.NoError(t, err, c.text)
		require.Equal(t, c.want, e.Match(strings.Fields(c.tags)), "%s on %s", c.text, c.tags)
	}
}

func TestRequires(t *testing.T) {
	for text, want := range map[string]bool{
		"": false, "gpu": true, "a && gpu": true, "a || gpu": false, "(a && gpu) || (b && gpu)": true, "gpu || gpu": true,
		"!gpu": false, "!(gpu || a)": false, "!(!gpu || a)": true, "gpu=a100": false, "gpu>=1": false, "(a || gpu) && b": false,
	} {
		e, err := Parse(text)
		require.NoError(t, err, text)
		require.Equal(t, want, e.Requires("gpu"), text)
	}
}

func TestCanonical(t *testing.T) {
	for text, want := range map[string]string{
		"b && a && b":            "a && b",
		"!(a || !(b && c<1))":    "!a && b && c<1",
		"!(a && (b || c<1))":     "!a || (!b && !c<1)",
		"z in (b, a, b)":         "z in (a, b)",
		"z in (a)":               "z=a",
		"! z in (a)":             "z!=a",
		"z not in (b,a)":         "z not in (a, b)",
		"(a && (b && (c || d)))": "a && b && (c || d)",
		`"a" == "x y"`:           `a="x y"`,
		`'q"\\'`:                 `"q\"\\"`,
	} {
		e, err := Parse(text)
		require.NoError(t, err, text)
		require.Equal(t, want, e.String(), text)
		again, err := Parse(e.String())
		require.NoError(t, err, text)
		require.Equal(t, e, again, text)
	}
}

func TestErrorsNameTheColumn(t *testing.T) {
	for text, want := range map[string]string{
		"gpu &&":       "column 7: a tag, ! or ( is missing before the end",
		"gpu cuda":     `column 5: && or || is missing before "cuda"`,
		"cuda >= new":  `column 9: "new" is no version, such as 12.4, 1.2.3-beta1, 2.1+cu118 or 2024-05-17; only = and != compare texts`,
		"a<12.4rc1":    `column 3: "12.4rc1" is no version, such as 12.4, 1.2.3-beta1, 2.1+cu118 or 2024-05-17; only = and != compare texts`,
		"zone in a":    `column 9: ( is missing before "a"`,
		"zone in (a":   "column 11: ) is missing before the end",
		"zone not (a)": `column 10: in is missing before "("`,
		"a & b":        `column 3: "&" has no meaning here; quote what is not made of A-Z a-z 0-9 . _ : @ / + -`,
		`a = "x`:       "column 5: the quotation mark is not closed",
		`""`:           "column 1: a tag cannot be empty",
		"a =":          "column 4: a value is missing before the end",
		"(a":           "column 3: ) is missing before the end",
		"gpu ä":        `column 5: "ä" has no meaning here; quote what is not made of A-Z a-z 0-9 . _ : @ / + -`,
		"a='b\nc'":     "column 3: what is quoted must be UTF-8 without control characters",
		"'\xff'":       "column 1: what is quoted must be UTF-8 without control characters",
		"a <":          "column 4: a value is missing before the end",
		"a in ()":      `column 7: a value is missing before ")"`,
		"a in (b,)":    `column 9: a value is missing before ")"`,
		"!":            "column 2: a tag, ! or ( is missing before the end",
		"a) || b":      `column 2: && or || is missing before ")"`,
	} {
		_, err := Parse(text)
		require.EqualError(t, err, want, text)
	}
}

func TestLimits(t *testing.T) {
	for text, limit := range map[string]int{
		strings.Repeat("a", MaxBytes+1):                  MaxBytes,
		strings.Repeat("a || ", MaxTerms) + "a":          MaxTerms,
		"a in (" + strings.Repeat("1,", MaxTerms) + "2)": MaxTerms,
		strings.Repeat("(", MaxDepth+1):                  MaxDepth,
		strings.Repeat("!", MaxDepth+1) + "a":            MaxDepth,
	} {
		_, err := Parse(text)
		var e *Error
		require.ErrorAs(t, err, &e)
		require.Equal(t, limit, e.Limit)
	}
	_, err := Parse(strings.Repeat("a || ", MaxTerms-1) + "a<1")
	require.NoError(t, err)
}
