package capacity

import (
	"fmt"
	"math/big"
	"strconv"
	"strings"
)

// MaxAmount is the largest amount of one dimension.
const MaxAmount = 1 << 40

// Round says what becomes of a fraction of the smallest unit.
type Round uint8

// The roundings: so that nothing is ever promised that is not there.
const (
	Up   Round = iota // for what a task takes
	Down              // for what a worker has
)

// Error says what is wrong with an amount.
type Error struct {
	Name    string // of the dimension
	Text    string
	Message string // a sentence for people
	Limit   int64  // the limit that was broken, or 0
}

// Error names the dimension and the text.
func (e *Error) Error() string {
	return fmt.Sprintf("%s: %.64q %s", e.Name, e.Text, e.Message)
}

// byteUnits are the suffixes of amounts of bytes.
var byteUnits = map[string]int64{
	"Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30, "Ti": 1 << 40, "Pi": 1 << 50,
	"k": 1e3, "K": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15,
}

// mebi is the unit of amounts that are written as bytes.
const mebi = 1 << 20

// Parse reads an amount of one dimension. cpu is written in CPUs ("2", "0.5")
// or in millicores ("1500m") and returned in millicores. Every other amount is
// a plain integer, returned as it is, or, but for gpu, a number of bytes with
// one of the suffixes Ki Mi Gi Ti Pi and k K M G T P, returned in MiB. The
// result lies in 0..MaxAmount; the error is an *Error.
func Parse(name, text string, round Round) (int64, error) {
	bad := func(message string) (int64, error) { return 0, &Error{Name: name, Text: text, Message: message} }
	number := strings.TrimSpace(text)
	digits := strings.TrimRight(number, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
	suffix := number[len(digits):]
	switch {
	case digits == "":
		return bad("is not an amount")
	case digits[0] == '-':
		return bad("is negative")
	case len(digits) > 32 || strings.Trim(digits, "0123456789.") != "" || strings.Count(digits, ".") > 1 || digits == ".":
		return bad("is not a number")
	}
	value, ok := new(big.Rat).SetString(digits)
	if !ok {
		return bad("is not a number")
	}
	bytes, sized := byteUnits[suffix]
	switch {
	case name == CPU && suffix == "":
		value.Mul(value, big.NewRat(1000, 1))
	case name == CPU && suffix == "m":
	case name == CPU:
		return bad("has an unknown unit; cpu is written as 2, 0.5 or 1500m")
	case name == GPU && suffix != "":
		return bad("has a unit; gpu counts whole devices")
	case sized:
		value.Mul(value, big.NewRat(bytes, mebi))
	case suffix != "":
		return bad("has an unknown unit; the units are Ki Mi Gi Ti Pi k M G T P")
	case !value.IsInt():
		return bad("is not a whole number")
	}
	amount := new(big.Int).Quo(value.Num(), value.Denom())
	if round == Up && !value.IsInt() {
		amount.Add(amount, big.NewInt(1))
	}
	if !amount.IsInt64() || amount.Int64() > MaxAmount {
		return 0, &Error{Name: name, Text: text, Limit: MaxAmount, Message: fmt.Sprintf("is more than %d", int64(MaxAmount))}
	}
	return amount.Int64(), nil
}

// ParseList reads amounts such as "cpu=4,mem=16Gi". A name must not come twice.
func ParseList(text string, round Round) (map[string]int64, error) {
	amounts := map[string]int64{}
	for part := range strings.SplitSeq(text, ",") {
		if part = strings.TrimSpace(part); part == "" {
			continue
		}
		name, value, ok := strings.Cut(part, "=")
		name = strings.TrimSpace(name)
		if !ok || name == "" {
			return nil, &Error{Name: "resources", Text: part, Message: "is not name=amount"}
		}
		if _, twice := amounts[name]; twice {
			return nil, &Error{Name: name, Text: part, Message: "names the resource twice"}
		}
		amount, err := Parse(name, value, round)
		if err != nil {
			return nil, err
		}
		amounts[name] = amount
	}
	return amounts, nil
}

// Format writes an amount for people: cpu in CPUs ("2") or millicores
// ("1500m"), mem and gpu_mem with a binary suffix ("16Gi", "477Mi"), anything
// else as it is. Parse reads it back to the same amount.
func Format(name string, amount int64) string {
	switch name {
	case CPU:
		if amount%1000 == 0 {
			return strconv.FormatInt(amount/1000, 10)
		}
		return strconv.FormatInt(amount, 10) + "m"
	case Mem, GPUMem:
		for _, unit := range []string{"Mi", "Gi", "Ti"} {
			if amount == 0 {
				return "0"
			}
			if amount%1024 != 0 || unit == "Ti" {
				return strconv.FormatInt(amount, 10) + unit
			}
			amount /= 1024
		}
	}
	return strconv.FormatInt(amount, 10)
}
