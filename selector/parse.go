package selector

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Error says what is wrong with an expression, and where.
type Error struct {
	Column  int    // in bytes, from 1
	Message string // a sentence for people
	Limit   int    // the limit that was broken, or 0
}

// Error names the column.
func (e *Error) Error() string { return fmt.Sprintf("column %d: %s", e.Column, e.Message) }

// Parse reads an expression. A blank text is True. The error is an *Error.
func Parse(text string) (*Expr, error) {
	if len(text) > MaxBytes {
		return nil, &Error{MaxBytes + 1, fmt.Sprintf("the expression is longer than %d bytes", MaxBytes), MaxBytes}
	}
	p := parser{text: text}
	p.next()
	if p.tok == "" && p.err == nil {
		return always, nil
	}
	e := p.or()
	if p.err == nil && p.tok != "" {
		p.fail("&& or || is missing before %s", p.shown())
	}
	if p.err != nil {
		return nil, p.err
	}
	return e, nil
}

// parser reads a text by recursive descent, with one token in hand.
type parser struct {
	text  string
	pos   int    // behind the token
	at    int    // where the token begins
	tok   string // its text; "" at the end
	word  string // what it means, if isWord
	isW   bool
	terms int
	depth int
	err   *Error // the first
}

// fail records the first failure, at the token in hand.
func (p *parser) fail(format string, args ...any) {
	if p.err == nil {
		p.err = &Error{Column: p.at + 1, Message: fmt.Sprintf(format, args...)}
	}
	p.tok, p.isW, p.pos = "", false, len(p.text) // nothing follows
}

func (p *parser) failLimit(limit int, format string, args ...any) {
	failed := p.err != nil
	p.fail(format, args...)
	if !failed {
		p.err.Limit = limit
	}
}

// shown is the token as an error names it.
func (p *parser) shown() string {
	if p.tok == "" {
		return "the end"
	}
	if len(p.tok) > 32 {
		return fmt.Sprintf("%q...", p.tok[:32])
	}
	return fmt.Sprintf("%q", p.tok)
}

// next takes the next token in hand.
func (p *parser) next() {
	if p.err != nil {
		return
	}
	for p.pos < len(p.text) && strings.IndexByte(" \t\r\n", p.text[p.pos]) >= 0 {
		p.pos++
	}
	p.at, p.isW = p.pos, false
	rest := p.text[p.pos:]
	switch {
	case rest == "":
		p.tok = ""
		return
	case rest[0] == '"' || rest[0] == '\'':
		p.quoted(rest)
		return
	}
	if n := wordEnd(rest); n > 0 {
		p.tok, p.word, p.isW = rest[:n], rest[:n], true
		p.pos += n
		return
	}
	for _, sign := range [...]string{"&&", "||", "==", "!=", "<=", ">=", "=", "<", ">", "!", "(", ")", ","} {
		if strings.HasPrefix(rest, sign) {
			p.tok = sign
			p.pos += len(sign)
			return
		}
	}
	_, n := utf8.DecodeRuneInString(rest)
	p.tok = rest[:n]
	p.fail("%q has no meaning here; quote what is not made of A-Z a-z 0-9 . _ : @ / + -", rest[:n])
}

// quoted reads a word in quotation marks; a backslash takes the next byte as it
// is. No tag holds control characters, and no message of the protocol.
func (p *parser) quoted(rest string) {
	var word strings.Builder
	for i := 1; i < len(rest); i++ {
		switch {
		case rest[i] == rest[0]:
			p.tok, p.word, p.isW = rest[:i+1], word.String(), true
			p.pos += i + 1
			if !utf8.ValidString(p.word) || strings.ContainsFunc(p.word, unicode.IsControl) {
				p.fail("what is quoted must be UTF-8 without control characters")
			}
			return
		case rest[i] == '\\' && i+1 < len(rest):
			i++
		}
		word.WriteByte(rest[i])
	}
	p.fail("the quotation mark is not closed")
}

// wordEnd returns the length of the bare word that s begins with.
func wordEnd(s string) int {
	n := 0
	for n < len(s) && (s[n] >= 'a' && s[n] <= 'z' || s[n] >= 'A' && s[n] <= 'Z' || s[n] >= '0' && s[n] <= '9' ||
		strings.IndexByte("._:@/+-", s[n]) >= 0) {
		n++
	}
	return n
}

func (p *parser) or() *Expr { return p.chain(Or, "||", p.and) }

func (p *parser) and() *Expr { return p.chain(And, "&&", p.unary) }

// chain reads operands with one operator between them.
func (p *parser) chain(op Op, sign string, operand func() *Expr) *Expr {
	args := []*Expr{operand()}
	for p.err == nil && p.tok == sign && !p.isW {
		p.next()
		args = append(args, operand())
	}
	if p.err != nil {
		return nil
	}
	return join(op, args)
}

// unary reads a negation, a parenthesis or a term.
func (p *parser) unary() *Expr {
	if p.isW {
		return p.term()
	}
	if p.tok != "!" && p.tok != "(" {
		p.fail("a tag, ! or ( is missing before %s", p.shown())
		return nil
	}
	if p.depth++; p.depth > MaxDepth {
		p.failLimit(MaxDepth, "more than %d parentheses and negations within each other", MaxDepth)
		return nil
	}
	defer func() { p.depth-- }()
	if p.tok == "!" {
		p.next()
		if e := p.unary(); p.err == nil {
			return negate(e)
		}
		return nil
	}
	p.next()
	e := p.or()
	p.close()
	return e
}

// close reads a closing parenthesis.
func (p *parser) close() {
	if p.err == nil && (p.tok != ")" || p.isW) {
		p.fail(") is missing before %s", p.shown())
	}
	p.next()
}

// take returns the word in hand and goes on.
func (p *parser) take(what string) string {
	if p.terms++; p.terms > MaxTerms {
		p.failLimit(MaxTerms, "more than %d terms", MaxTerms)
	}
	if !p.isW {
		p.fail("%s is missing before %s", what, p.shown())
		return ""
	}
	word := p.word
	p.next()
	return word
}

var comparisons = map[string]Cmp{"=": Eq, "==": Eq, "!=": Eq, "<": Lt, "<=": Le, ">": Gt, ">=": Ge}

// term reads a word and what is asked of its value.
func (p *parser) term() *Expr {
	if p.word == "" {
		p.fail("a tag cannot be empty")
		return nil
	}
	e := &Expr{Op: Leaf, Term: Term{Key: p.take("a tag")}}
	negated := p.tok == "!="
	switch cmp, compared := comparisons[p.tok]; {
	case p.err != nil:
	case compared && !p.isW:
		p.next()
		p.terms-- // a comparison is one term
		p.compare(&e.Term, cmp)
	case p.tok == "in", p.tok == "not":
		if negated = p.tok == "not"; negated {
			p.next()
		}
		p.in(&e.Term)
	}
	if negated && p.err == nil {
		return negate(e)
	}
	return e
}

// compare reads the value of a comparison.
func (p *parser) compare(t *Term, cmp Cmp) {
	at, shown := p.at, p.shown()
	t.Cmp, t.Values = cmp, []string{p.take("a value")}
	if p.err == nil && cmp != Eq && !isVersion(t.Values[0]) {
		p.at = at
		p.fail("%s is no version, such as 12.4, 1.2.3-beta1, 2.1+cu118 or 2024-05-17; only = and != compare texts", shown)
	}
}

// in reads the values of a list.
func (p *parser) in(t *Term) {
	if p.tok != "in" {
		p.fail("in is missing before %s", p.shown())
		return
	}
	p.next()
	if p.tok != "(" || p.isW {
		p.fail("( is missing before %s", p.shown())
		return
	}
	p.next()
	t.Cmp = Eq
	p.terms--
	for p.err == nil {
		t.Values = append(t.Values, p.take("a value"))
		if p.tok != "," || p.isW {
			break
		}
		p.next()
	}
	p.close()
	slices.Sort(t.Values)
	t.Values = slices.Compact(t.Values)
}
