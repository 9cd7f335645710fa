package usage

import (
	"fmt"
	"math/big"
	"strings"
)

// Tokens are counts of the four kinds. Sums of bigint columns may be beyond 64 bits.
type Tokens struct{ Input, Output, CacheRead, CacheWrite big.Int }

// Sum returns all kinds together, cache reads included, as the dashboard has it.
func (t *Tokens) Sum() *big.Int {
	sum := new(big.Int).Add(&t.Input, &t.Output)
	sum.Add(sum, &t.CacheRead)
	return sum.Add(sum, &t.CacheWrite)
}

// Add adds o to t.
func (t *Tokens) Add(o *Tokens) {
	for i, to := range t.kinds() {
		to.Add(to, o.kinds()[i])
	}
}

// IsZero says whether there is none of any kind.
func (t *Tokens) IsZero() bool {
	for _, n := range t.kinds() {
		if n.Sign() != 0 {
			return false
		}
	}
	return true
}

// kinds are the counts in the order of the statements' columns.
func (t *Tokens) kinds() [4]*big.Int {
	return [4]*big.Int{&t.Input, &t.Output, &t.CacheRead, &t.CacheWrite}
}

// Measures are what is summed up.
type Measures struct {
	Tokens
	Cost     big.Int // as the providers reported it, in ticks of 1e-10 USD
	Uncosted Tokens  // those without a reported cost
}

// Add adds o to m.
func (m *Measures) Add(o *Measures) {
	m.Tokens.Add(&o.Tokens)
	m.Cost.Add(&m.Cost, &o.Cost)
	m.Uncosted.Add(&o.Uncosted)
}

// CostReported says whether any provider reported a cost, be it 0.
func (m *Measures) CostReported() bool {
	return m.Cost.Sign() != 0 || m.Uncosted.Sum().Cmp(m.Tokens.Sum()) != 0
}

// CostComplete says whether every token has a reported cost.
func (m *Measures) CostComplete() bool { return m.Uncosted.IsZero() }

// ticksDigits are the decimals of a dollar that cost_usd_ticks counts.
const ticksDigits = 10

// Dollars renders ticks of 1e-10 USD as an exact decimal: 12.31, 0, 0.0000000001.
func Dollars(ticks *big.Int) string {
	digits := fmt.Sprintf("%0*s", ticksDigits+1, new(big.Int).Abs(ticks).String())
	whole, fraction := digits[:len(digits)-ticksDigits], strings.TrimRight(digits[len(digits)-ticksDigits:], "0")
	if fraction != "" {
		whole += "." + fraction
	}
	if ticks.Sign() < 0 {
		whole = "-" + whole
	}
	return whole
}

// Cents renders ticks of 1e-10 USD for people: $12.31; <$0.01 for what rounds to nothing and is not.
func Cents(ticks *big.Int) string {
	cents := divRound(new(big.Int).Abs(ticks), big.NewInt(100_000_000))
	sign := ""
	if ticks.Sign() < 0 {
		sign = "-"
	}
	if cents.Sign() == 0 && ticks.Sign() > 0 {
		return "<$0.01"
	}
	if cents.Sign() == 0 {
		return "$0"
	}
	digits := fmt.Sprintf("%03s", cents.String())
	return sign + "$" + digits[:len(digits)-2] + "." + digits[len(digits)-2:]
}

// Short renders a count with one decimal and K, M, B or T for thousands of it.
// The decimal is left out where it would hide nothing: 1M is a million exactly.
func Short(n *big.Int) string {
	if n.Sign() < 0 {
		return "-" + Short(new(big.Int).Neg(n))
	}
	thousand := big.NewInt(1000)
	if n.Cmp(thousand) < 0 {
		return n.String()
	}
	unit := big.NewInt(1)
	for _, suffix := range []string{"K", "M", "B", "T"} {
		unit = new(big.Int).Mul(unit, thousand)
		tenths := divRound(new(big.Int).Mul(n, big.NewInt(10)), unit)
		if suffix != "T" && tenths.Cmp(big.NewInt(10_000)) >= 0 {
			continue // it would read 1000.0
		}
		if new(big.Int).Mod(n, unit).Sign() == 0 {
			return new(big.Int).Div(n, unit).String() + suffix
		}
		whole, tenth := new(big.Int).DivMod(tenths, big.NewInt(10), new(big.Int))
		return whole.String() + "." + tenth.String() + suffix
	}
	return n.String()
}

// divRound divides two numbers that are not negative and rounds half up.
func divRound(n, by *big.Int) *big.Int {
	half := new(big.Int).Rsh(by, 1)
	return new(big.Int).Div(half.Add(half, n), by)
}
