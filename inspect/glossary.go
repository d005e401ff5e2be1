package inspect

import (
	"cmp"
	_ "embed"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"
)

// The glossary knows the names and numbers that other programs give to
// failures, and which faults of the catalogue stand behind each. It is looked
// up by hand, with whatever a person has copied from a screen.

// Entry is what is known about one code of one family of programs.
type Entry struct {
	Code   string `json:"code"`
	Number string `json:"number,omitempty"`
	// Family is who speaks so: chromium, chromium-page, firefox, firefox-page,
	// safari, curl, openssl, windows, node, java, go, python, browser-console,
	// tls-alert, http-status; "fault" for an ID of the catalogue, and "port".
	Family  string `json:"family"`
	Meaning string `json:"meaning"`
	// Faults are the IDs of the faults that can show so, likeliest first.
	Faults []string `json:"faults,omitempty"`
	// Next is the next step where no single fault can tell it.
	Next string `json:"next,omitempty"`
	// Removed: current versions do not show it any more.
	Removed bool `json:"removed,omitempty"`
}

const (
	// maxQuery bounds what is looked at: a pasted error line, not a log.
	maxQuery = 200
	// maxEntries is how many matches are worth reading.
	maxEntries = 12
)

//go:embed glossary.tsv
var glossaryTSV string

// term is an entry with the spellings it is found by.
type term struct {
	Entry
	words string // the code, folded
	bare  string // the same without the prefix of its family
	said  string // the program's own words for it, folded; "" when it has none
	value number // of Number; no text when it has none
}

// glossary is parsed on first use; a test holds that it parses.
var glossary = sync.OnceValue(func() []term {
	terms, err := parseGlossary(glossaryTSV)
	if err != nil {
		panic(err) // the file is part of the program
	}
	return terms
})

// parseGlossary reads the table: a head, then code, number, family, faults,
// meaning and status, separated by tabs.
func parseGlossary(tsv string) (terms []term, err error) {
	_, tsv, _ = strings.Cut(tsv, "\n")
	for row := range strings.Lines(tsv) {
		f := strings.Split(strings.TrimSuffix(row, "\n"), "\t")
		if len(f) != 6 || f[0] == "" || f[2] == "" || f[3] == "" || f[4] == "" || f[5] != "current" && f[5] != "removed" {
			return nil, fmt.Errorf("glossary: broken row %q", row)
		}
		t := term{
			Entry: Entry{
				Code: f[0], Number: f[1], Family: f[2], Faults: strings.Split(f[3], ","), Meaning: f[4],
				Removed: f[5] == "removed",
			},
			words: fold(f[0]),
		}
		t.bare = withoutPrefix(t.words)
		if _, said, ok := strings.Cut(t.Meaning, `("`); ok { // OpenSSL prints the words, not the name
			t.said = fold(said)
		}
		if f[1] != "" {
			n := numbersIn(f[1])
			if len(n) != 1 {
				return nil, fmt.Errorf("glossary: %s has the number %q", f[0], f[1])
			}
			t.value = n[0]
		}
		terms = append(terms, t)
	}
	return terms, nil
}

// withoutPrefix drops what people leave out of a code; the longer prefixes come
// first.
func withoutPrefix(words string) string {
	for _, prefix := range []string{
		"mozilla pkix error ", "x509 v err ", "error internet ", "received fatal alert ", "ns error ", "sec error ",
		"ssl error ", "err ssl ", "nsurlerror", "curle ", "sec e ", "cert e ", "err ", "wsa",
	} {
		if s, ok := strings.CutPrefix(words, prefix); ok {
			return s
		}
	}
	return words
}

// fold makes spellings alike: small letters, and one space for whatever else is
// no letter or digit.
func fold(s string) string {
	var b strings.Builder
	gap := false
	for _, r := range strings.ToLower(s) {
		if r < utf8.RuneSelf && !('0' <= r && r <= '9' || 'a' <= r && r <= 'z') {
			gap = b.Len() > 0
			continue
		}
		if gap {
			b.WriteByte(' ')
			gap = false
		}
		b.WriteRune(r)
	}
	return b.String()
}

// question is a query, made ready for comparing.
type question struct {
	words   string
	numbers []number
	family  string // that the query names, "" for none
	// plain: beside numbers there are only words that say nothing ("error code").
	plain bool
}

func newQuestion(query string) question {
	if len(query) > maxQuery {
		query = query[:maxQuery]
	}
	query = strings.ToValidUTF8(query, "")
	q := question{words: fold(query), numbers: numbersIn(query), plain: true}
	q.words = strings.TrimPrefix(q.words, "net ") // Chromium's "net::ERR_…"
	for _, f := range spokenFamilies {
		if hasPhrase(q.words, f.word) {
			q.family = f.family
			break
		}
	}
	for w := range strings.FieldsSeq(q.words) {
		if !strings.ContainsAny(w, "0123456789") && !slices.Contains([]string{"error", "code", "err", "the", "no", "number"}, w) {
			q.plain = false
		}
	}
	return q
}

// spokenFamilies are the words that say whose number it is, in the order in
// which they are looked for: "curl: (60) … HTTP" is curl's.
var spokenFamilies = []struct{ word, family string }{
	{"curl", "curl"}, {"curle", "curl"}, {"exit", "curl"}, {"alert", "tls-alert"}, {"verify", "openssl"}, {"x509", "openssl"},
	{"openssl", "openssl"}, {"nsurlerrordomain", "safari"}, {"safari", "safari"}, {"winsock", "windows"}, {"windows", "windows"},
	{"winhttp", "windows"}, {"wininet", "windows"}, {"schannel", "windows"}, {"chrome", "chromium"}, {"chromium", "chromium"},
	{"edge", "chromium"}, {"net", "chromium"}, {"firefox", "firefox"}, {"nss", "firefox"}, {"http", "http-status"},
	{"https", "http-status"}, {"status", "http-status"}, {"port", "port"},
}

// Explain finds what a code means, in any spelling: a name
// ("ERR_CERT_DATE_INVALID", "net::err_cert_date_invalid", "handshake_failure",
// "ECONNREFUSED"), a number with or without its family ("-201", "alert 40",
// "curl 60", "HTTP 502", "0x80090325"), a fault of the catalogue
// ("cert-expired"), or a line that contains one of these. The best match is
// first; nil means that nothing is known, see [Suggest].
func Explain(query string) []Entry {
	q := newQuestion(query)
	if q.words == "" {
		return nil
	}
	var found []ranked
	if f, ok := Lookup(strings.ReplaceAll(q.words, " ", "-")); ok {
		rank := 200
		if strings.Contains(query, " ") {
			rank = 96 // "HTTP 502" is the status, "http-502" the fault
		}
		found = append(found, ranked{rank, Entry{Code: f.ID, Family: "fault", Meaning: f.Title, Faults: []string{f.ID}}})
	}
	for _, t := range glossary() {
		rank := max(t.named(q), t.numbered(q))
		switch {
		case t.Code == "HTTP 443":
			if r := asks443(q, rank); r > 0 {
				found = append(found, ranked{r, port443(t.Faults)})
			}
		case rank > 0:
			found = append(found, ranked{rank, t.Entry})
		}
	}
	return best(found)
}

// asks443 ranks the question about the status that does not exist. In a longer
// line ("connect ECONNREFUSED 192.0.2.1:443") the other words tell more.
func asks443(q question, rank int) int {
	switch {
	case !slices.ContainsFunc(q.numbers, func(n number) bool { return n.value == 443 }):
		return 0
	case rank > 0, q.plain, q.family == "http-status", q.family == "port" && len(q.words) <= len("tcp port 443"):
		return 200
	}
	return 5
}

func port443(faults []string) Entry {
	return Entry{
		Code: "443", Number: "443", Family: "port", Faults: faults,
		Meaning: "There is no HTTP status 443. 443 is the port of HTTPS, and a message that names it tells where the browser " +
			"wanted to connect. What failed there failed before any HTTP existed, so there is no status code at all: the " +
			"connection (TCP), the secure handshake (TLS) or the certificate was the trouble.",
		Next: "Open the site through faultline. It says which of these it was, and who can mend it.",
	}
}

// named ranks how well the words of a question name a term, 0 for not at all.
func (t *term) named(q question) int {
	switch {
	case q.words == t.words || "err "+q.words == t.words:
		return 100
	case q.words == t.bare:
		return 95
	case t.said != "" && hasPhrase(q.words, t.said):
		return 99
	case t.telling() && hasPhrase(q.words, t.words):
		return 60 + min(len(t.words)/2, 30) // a pasted line: the longest code in it is meant
	case len(q.words) >= 4 && hasPhrase(t.words, q.words):
		return 10 + 40*len(q.words)/len(t.words)
	}
	return 0
}

// telling: the code is no ordinary word, so that finding it in a line means
// something.
func (t *term) telling() bool {
	return strings.Contains(t.words, " ") || len(t.words) >= 6
}

// hasPhrase: part stands in whole, between word ends.
func hasPhrase(whole, part string) bool {
	for from := 0; ; from++ {
		i := strings.Index(whole[from:], part)
		if i < 0 {
			return false
		}
		from += i
		end := from + len(part)
		if (from == 0 || whole[from-1] == ' ') && (end == len(whole) || whole[end] == ' ') {
			return true
		}
	}
}

// number is a number as people write it.
type number struct {
	value int64
	minus bool
	hex   bool
}

// numbersIn finds the numbers of a query, whole words such as "-201", "(60)",
// "0x80090325", and OpenSSL's eight digits "0A00010B".
func numbersIn(query string) (all []number) {
	for w := range strings.FieldsFuncSeq(strings.ToLower(query), func(r rune) bool {
		return r != '-' && r != '_' && !('0' <= r && r <= '9') && !('a' <= r && r <= 'z')
	}) {
		digits, hex := strings.CutPrefix(w, "0x")
		if hex || len(w) == 8 && (w[0] == '0' || w[0] == '8') {
			if u, err := strconv.ParseUint(digits, 16, 32); err == nil {
				all = append(all, number{value: int64(u), hex: true})
				continue
			}
		}
		if v, err := strconv.ParseInt(w, 10, 64); err == nil {
			all = append(all, number{value: v, minus: v < 0})
		}
	}
	return all
}

// numbered ranks how well the numbers of a question fit a term's, 0 for not at
// all. Alone, a number may be anyone's: then a status is likelier than an
// alert. In a sentence without a family it is no code at all.
func (t *term) numbered(q question) int {
	if t.Number == "" {
		return 0
	}
	for _, n := range q.numbers {
		// Windows prints its codes as signed decimals too; a minus gets lost when
		// copying.
		same := n.value == t.value.value || t.value.hex && n.value == int64(int32(uint32(t.value.value)))
		lost := !n.hex && !n.minus && n.value == -t.value.value
		switch {
		case !same && !lost:
		case n.hex || t.value.hex: // eight digits are nobody else's
			return 99
		case q.family == t.Family && same:
			return 98
		case q.family == t.Family:
			return 93
		case q.family != "" || !q.plain:
		case same:
			return 50 + familyRank[t.Family]
		default:
			return 30 + familyRank[t.Family]
		}
	}
	return 0
}

var familyRank = map[string]int{
	"http-status": 9, "curl": 8, "tls-alert": 7, "openssl": 6, "chromium": 5, "firefox": 4, "safari": 3, "windows": 2,
}

// ranked is a match.
type ranked struct {
	rank int
	Entry
}

// best returns the entries in the order of their ranks; what is no longer shown
// comes after what is.
func best(found []ranked) (all []Entry) {
	slices.SortStableFunc(found, func(a, b ranked) int {
		if a.rank == b.rank && a.Removed != b.Removed {
			if a.Removed {
				return 1
			}
			return -1
		}
		return cmp.Compare(b.rank, a.rank)
	})
	for _, f := range found[:min(len(found), maxEntries)] {
		all = append(all, f.Entry)
	}
	return all
}

// Suggest returns the codes and faults that are spelled nearly like a query
// that [Explain] does not know, the nearest first, at most five.
func Suggest(query string) []string {
	q := newQuestion(query)
	if len(q.numbers) > 0 {
		return nil // a number that is nearly right is wrong
	}
	// A quarter of the letters may be wrong, at most four.
	most := min(len(q.words)/4, 4)
	type near struct {
		code string
		far  int
	}
	var all []near
	consider := func(code string, words, bare string) {
		far := 2 * distance(q.words, words, most)
		if bare != words {
			far = min(far, 2*distance(q.words, bare, most)+1) // the whole code before a part of it
		}
		if far <= 2*most+1 {
			all = append(all, near{code, far})
		}
	}
	for _, t := range glossary() {
		consider(t.Code, t.words, t.bare)
	}
	for i := range Faults {
		words := fold(Faults[i].ID)
		consider(Faults[i].ID, words, words)
	}
	slices.SortStableFunc(all, func(a, b near) int { return cmp.Compare(a.far, b.far) })
	var codes []string
	for _, n := range all {
		if len(codes) < 5 && !slices.Contains(codes, n.code) {
			codes = append(codes, n.code)
		}
	}
	return codes
}

// distance counts the letters to insert, delete, replace or swap with their
// neighbour to turn a into b (optimal string alignment); above most it is only
// known to be above.
func distance(a, b string, most int) int {
	if max(len(a)-len(b), len(b)-len(a)) > most {
		return most + 1
	}
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			wrong := 1
			if a[i-1] == b[j-1] {
				wrong = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+wrong)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		if slices.Min(row) > most {
			return most + 1
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}
