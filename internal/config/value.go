package config

import (
	"fmt"
	"math"
	"reflect"
	"strconv"
	"time"
)

// convert gives a value of the file, a variable or a flag the type of its key.
// On failure what is wrong with it is returned, to be read after the key's name.
func convert(k key, value any, isText bool) (converted any, wrong string) {
	if isText {
		return convertText(k, value.(string))
	}
	switch k.kind {
	case reflect.TypeFor[string]():
		if s, ok := value.(string); ok {
			return s, ""
		}
		return nil, `must be a string in double quotes`
	case reflect.TypeFor[time.Duration]():
		switch v := value.(type) {
		case string:
			return duration(v)
		case int64:
			return nil, fmt.Sprintf("is a bare number: write the unit, as in %q or %q", fmt.Sprintf("%ds", v), fmt.Sprintf("%dm", v))
		case float64:
			return nil, `is a bare number: write the unit, as in "1.5s"`
		}
		return nil, `must be a duration with its unit in double quotes, as in "5m"`
	case reflect.TypeFor[int]():
		if n, ok := value.(int64); ok && n >= math.MinInt32 && n <= math.MaxInt32 {
			return int(n), ""
		}
		return nil, "must be a whole number"
	}
	switch v := value.(type) {
	case float64:
		return v, ""
	case int64:
		return float64(v), ""
	}
	return nil, "must be a number"
}

func convertText(k key, text string) (converted any, wrong string) {
	switch k.kind {
	case reflect.TypeFor[string]():
		return text, ""
	case reflect.TypeFor[time.Duration]():
		return duration(text)
	case reflect.TypeFor[int]():
		n, err := strconv.ParseInt(text, 10, 32)
		if err != nil {
			return nil, "must be a whole number"
		}
		return int(n), ""
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return nil, "must be a number"
	}
	return f, ""
}

// duration reads "1h30m". Only zero goes without a unit.
func duration(text string) (converted any, wrong string) {
	d, err := time.ParseDuration(text)
	if err == nil {
		return d, ""
	}
	if _, numeric := strconv.ParseFloat(text, 64); numeric == nil {
		return nil, fmt.Sprintf("is a bare number: write the unit, as in %q or %q", text+"s", text+"m")
	}
	return nil, `must be a duration such as "500ms", "30s", "5m" or "1h30m"`
}

// BadDuration says what is wrong with a duration as a person wrote it, to be
// read after its name; "" where nothing is.
func BadDuration(text string) string {
	_, wrong := duration(text)
	return wrong
}
