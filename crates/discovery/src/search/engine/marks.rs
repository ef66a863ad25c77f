//! Where in a text stands what was searched for.

use std::ops::Range;

use merx_domain::search::{Mark, SearchedTerm};

use crate::search::text::{Analyser, Token, fold};

/// The beginning of words that the shopper is still typing.
struct Begun<'a> {
    place: usize,
    typed: &'a str,
    /// Words of this stem are the word that was typed, not one that only begins so.
    stem: compact_str::CompactString,
}

pub(super) fn of(analyser: &Analyser, text: &str, terms: &[SearchedTerm]) -> Vec<Mark> {
    let tokens = analyser.tokens(text);
    let (whole, begun) = wanted(analyser, &tokens, terms);
    let mut marks: Vec<Mark> = Vec::new();
    for token in &tokens {
        let here = whole.iter().filter(|(_, part)| token.term == *part).map(|(place, _)| *place);
        let mut places: Vec<usize> = here.collect();
        let mut range = token.start..token.end;
        for begun in begun.iter().filter(|begun| token.surface.starts_with(begun.typed)) {
            let word = &terms[begun.place].word;
            // What only completes it is marked as far as it was typed.
            if token.term != begun.stem && places.iter().all(|place| terms[*place].word == *word) {
                range = typed_of(text, token, begun.typed);
            }
            places.push(begun.place);
        }
        if places.is_empty() {
            continue;
        }
        match marks.last_mut() {
            Some(last) if range.start < last.range.end => {
                last.range.end = last.range.end.max(range.end);
                places.retain(|place| !last.terms.contains(place));
                last.terms.append(&mut places);
            }
            _ => marks.push(Mark { range, terms: places }),
        }
    }
    marks
}

/// Terms by place, and beginnings of words. Of several words that mean one, all must be in the text.
fn wanted<'a>(
    analyser: &Analyser,
    tokens: &[Token],
    terms: &'a [SearchedTerm],
) -> (Vec<(usize, &'a str)>, Vec<Begun<'a>>) {
    let (mut whole, mut begun) = (Vec::with_capacity(terms.len()), Vec::new());
    for (place, searched) in terms.iter().enumerate() {
        if let Some(typed) = searched.term.strip_suffix('*') {
            begun.push(Begun { place, typed, stem: analyser.stem(typed) });
            continue;
        }
        let parts = || searched.term.split(' ');
        if parts().all(|part| tokens.iter().any(|token| token.term == part)) {
            whole.extend(parts().map(|part| (place, part)));
        }
    }
    (whole, begun)
}

/// The part of a word that was typed; the whole word where its letters don't show where that ends.
fn typed_of(text: &str, token: &Token, typed: &str) -> Range<usize> {
    let whole = token.start..token.end;
    let Some(word) = text.get(whole.clone()) else { return whole };
    let ends = word.char_indices().map(|(at, letter)| at + letter.len_utf8());
    let reached: Vec<usize> = ends.filter(|end| fold(&word[..*end]) == typed).collect();
    // An accent that is a letter of its own belongs to the one before it.
    reached.last().map_or(whole, |end| token.start..token.start + end)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::search::text::Language;

    fn marked(text: &str, terms: &[(&str, &str)]) -> Vec<(String, Vec<String>)> {
        let named = |(word, term): &(&str, &str)| SearchedTerm { word: (*word).into(), term: (*term).into() };
        let terms: Vec<SearchedTerm> = terms.iter().map(named).collect();
        let words = |mark: &Mark| {
            let mut words: Vec<String> = mark.terms.iter().map(|place| terms[*place].word.clone()).collect();
            words.dedup();
            words
        };
        let marks = of(&Analyser::new(&[Language::English]), text, &terms);
        marks.iter().map(|mark| (text[mark.range.clone()].to_owned(), words(mark))).collect()
    }

    fn expected(marks: &[(&str, &[&str])]) -> Vec<(String, Vec<String>)> {
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        marks.iter().map(|(text, named)| ((*text).to_owned(), words(named))).collect()
    }

    #[test]
    fn each_mark_names_its_words() {
        let terms = [("trail", "trail"), ("sneekers", "sneekers"), ("sneekers", "sneaker"), ("sneekers", "shoe")];
        let wanted = expected(&[("trail", &["trail"]), ("shoes", &["sneekers"])]);
        assert_eq!(marked("Strider trail shoes", &terms), wanted);
        assert_eq!(marked("Lamp", &terms), []);
        // Two words that are one in the text.
        let joined = [("base", "base"), ("base", "baseboard"), ("board", "board"), ("board", "baseboard")];
        assert_eq!(marked("Baseboard", &joined), expected(&[("Baseboard", &["base", "board"])]));
    }

    #[test]
    fn what_is_typed_is_marked_so_far() {
        let typing = [("act", "act"), ("act", "action"), ("act", "act*")];
        assert_eq!(marked("Actiontec actions", &typing), expected(&[("Act", &["act"]), ("act", &["act"])]));
        // The plural is the word itself, and what another word of the query means is marked as a whole.
        assert_eq!(marked("Shoes", &[("shoe", "shoe"), ("shoe", "shoe*")]), expected(&[("Shoes", &["shoe"])]));
        let both = [("action", "action"), ("act", "act"), ("act", "act*")];
        assert_eq!(marked("Action", &both), expected(&[("Action", &["action", "act"])]));
        assert_eq!(marked("Éclairs", &[("ecl", "ecl*")]), expected(&[("Écl", &["ecl"])]));
        assert_eq!(marked("E\u{301}clairs", &[("e", "e*")]), expected(&[("E\u{301}", &["e"])]));
        assert_eq!(marked("Straße", &[("stras", "stras*")]), expected(&[("Straße", &["stras"])]));
    }

    #[test]
    fn several_words_for_one_are_marked_together() {
        let terms = [("lightbulb", "lightbulb"), ("lightbulb", "light bulb")];
        assert_eq!(marked("Light box", &terms), []);
        let wanted = expected(&[("Bulb", &["lightbulb"]), ("light", &["lightbulb"])]);
        assert_eq!(marked("Bulb for a light", &terms), wanted);
    }
}
