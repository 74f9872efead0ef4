package units

import (
	"errors"
	"strings"
)

// split splits a command line or a list of assignments into words, as
// systemd.syntax(7) has it: words are separated by space, quotes keep them
// together, and a backslash begins a character that is not written as itself.
func split(line string) ([]string, error) {
	var words []string
	var word strings.Builder
	inWord, quote := false, byte(0)
	for i := 0; i < len(line); i++ {
		character := line[i]
		// A line that goes on in the next one is read with its end: together they are a space.
		if character == '\\' && i+1 < len(line) && line[i+1] == '\n' {
			i++
			character = ' '
		}
		switch {
		case character == '\\':
			if i++; i == len(line) {
				return nil, errors.New("it ends with a backslash")
			}
			word.WriteString(unescape(line[i]))
			inWord = true
		case quote != 0:
			if character == quote {
				quote = 0
			} else {
				word.WriteByte(character)
			}
		case (character == '"' || character == '\'') && !inWord:
			quote, inWord = character, true
		case (character == '"' || character == '\'') && strings.HasSuffix(word.String(), "="):
			// NAME="value" is common, and taken for what it means.
			quote = character
		case strings.IndexByte(" \t\r\n", character) >= 0:
			if inWord {
				words = append(words, word.String())
				word.Reset()
			}
			inWord = false
		default:
			word.WriteByte(character)
			inWord = true
		}
	}
	if quote != 0 {
		return nil, errors.New("a quote is not closed")
	}
	if inWord {
		words = append(words, word.String())
	}
	return words, nil
}

// unescape is the character that stands behind a backslash.
func unescape(character byte) string {
	switch character {
	case 'n':
		return "\n"
	case 't':
		return "\t"
	case 'r':
		return "\r"
	case 's':
		return " "
	case '"', '\'', '\\', ';', ' ', '$':
		return string(character)
	}
	return "\\" + string(character)
}

// expand fills in variables and specifiers of a command line. ${NAME} is
// filled in within a word, and $NAME as a word of its own becomes as many
// words as its value has.
func expand(words []string, variable func(string) string, specifiers map[byte]string) []string {
	var expanded []string
	for i, word := range words {
		word = specify(word, specifiers)
		name, alone := strings.CutPrefix(word, "$")
		if alone && isName(name) && i > 0 {
			expanded = append(expanded, strings.Fields(variable(name))...)
			continue
		}
		expanded = append(expanded, substitute(word, variable))
	}
	return expanded
}

// substitute replaces ${NAME}, and $$ by one dollar sign.
func substitute(word string, variable func(string) string) string {
	var result strings.Builder
	for i := 0; i < len(word); i++ {
		rest := word[i:]
		if strings.HasPrefix(rest, "$$") {
			result.WriteByte('$')
			i++
			continue
		}
		if end := strings.IndexByte(rest, '}'); strings.HasPrefix(rest, "${") && end > 0 && isName(rest[2:end]) {
			result.WriteString(variable(rest[2:end]))
			i += end
			continue
		}
		result.WriteByte(word[i])
	}
	return result.String()
}

// specify replaces specifiers, such as %n for the unit's name.
func specify(word string, specifiers map[byte]string) string {
	var result strings.Builder
	for i := 0; i < len(word); i++ {
		if word[i] == '%' && i+1 < len(word) {
			if word[i+1] == '%' {
				result.WriteByte('%')
				i++
				continue
			}
			if value, known := specifiers[word[i+1]]; known {
				result.WriteString(value)
				i++
				continue
			}
		}
		result.WriteByte(word[i])
	}
	return result.String()
}

func isName(name string) bool {
	for i, character := range name {
		letter := character == '_' || (character >= 'a' && character <= 'z') || (character >= 'A' && character <= 'Z')
		if !letter && (i == 0 || character < '0' || character > '9') {
			return false
		}
	}
	return name != ""
}
