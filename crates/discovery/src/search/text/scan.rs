//! Cuts a text into words, numbers, codes, runs of ideographs and marks.

use compact_str::CompactString;
use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ChunkKind {
    Word,
    Number,
    Code,
    Ideographs,
    /// Any other visible character.
    Mark,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Chunk {
    pub kind: ChunkKind,
    /// Folded; a number in its one spelling.
    pub text: CompactString,
    /// Of a number.
    pub value: f64,
    /// The words that capital letters within a word show.
    pub parts: Vec<CompactString>,
    /// A word with its accents, where it has any: stemmers read them.
    pub accented: Option<CompactString>,
    /// Whether white space stands before it.
    pub spaced: bool,
    pub start: usize,
    pub end: usize,
}

impl Chunk {
    /// A mark right after what stands before it.
    pub(super) fn is_joining(&self, mark: char) -> bool {
        self.kind == ChunkKind::Mark && !self.spaced && self.text.starts_with(mark)
    }

    /// The sign between the numbers of a dimension.
    pub(super) fn is_times(&self) -> bool {
        matches!(self.text.as_str(), "x" | "*" | "by") || self.text == "×"
    }
}

/// Lower case, compatibility forms and accents dissolved: `Ｃafé` is `cafe`, `ß` is `ss`.
pub fn fold(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    let mut folded = String::with_capacity(text.len());
    for character in text.nfkd().filter(|&character| !is_latin_mark(character)) {
        match character {
            'ß' | 'ẞ' => folded.push_str("ss"),
            'ø' | 'Ø' => folded.push('o'),
            'æ' | 'Æ' => folded.push_str("ae"),
            'œ' | 'Œ' => folded.push_str("oe"),
            'ł' | 'Ł' => folded.push('l'),
            'ı' | 'İ' => folded.push('i'),
            _ => folded.extend(character.to_lowercase()),
        }
    }
    // Japanese voicing marks and Hangul syllables come back together.
    folded.nfc().collect()
}

/// Accents of Latin, Greek and Cyrillic letters; marks of other scripts change the letter.
fn is_latin_mark(character: char) -> bool {
    is_combining_mark(character) && ('\u{300}'..='\u{36f}').contains(&character)
}

/// Scripts that write no spaces, and Hangul, whose words carry their particles.
fn is_ideograph(character: char) -> bool {
    matches!(u32::from(character),
        0x0e00..=0x0e7f | 0x1100..=0x11ff | 0x3040..=0x30ff | 0x3130..=0x318f | 0x31f0..=0x31ff | 0x3400..=0x4dbf
        | 0x4e00..=0x9fff | 0xac00..=0xd7af | 0xf900..=0xfaff | 0xff66..=0xff9f | 0x20000..=0x3134f)
}

pub(super) fn chunks(text: &str) -> Vec<Chunk> {
    let mut scanner = Scanner { text, at: 0, spaced: false, chunks: Vec::with_capacity(text.len() / 5 + 1) };
    while scanner.step() {}
    scanner.chunks
}

struct Scanner<'a> {
    text: &'a str,
    at: usize,
    spaced: bool,
    chunks: Vec<Chunk>,
}

impl<'a> Scanner<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn step(&mut self) -> bool {
        let rest = self.rest();
        let Some(first) = rest.chars().next() else { return false };
        if first.is_whitespace() {
            self.at += first.len_utf8();
            self.spaced = true;
        } else if let Some((mark, length)) = entity(rest) {
            self.entity(mark, length);
        } else if let Some((value, length)) = number(rest) {
            self.number(value, length);
        } else if is_ideograph(first) {
            let length = length_while(rest, is_ideograph);
            self.push(ChunkKind::Ideographs, fold(&rest[..length]).into(), length);
        } else if first.is_alphanumeric() {
            self.word();
        } else {
            self.push(ChunkKind::Mark, mark_text(first), first.len_utf8());
        }
        true
    }

    /// `&amp;` parts words, `&quot;` after a number is an inch.
    fn entity(&mut self, mark: &str, length: usize) {
        if mark.is_empty() {
            self.at += length;
            self.spaced = true;
        } else {
            self.push(ChunkKind::Mark, mark.into(), length);
        }
    }

    /// A number, or the code that begins with it: `500ml` is a number and a unit, `2x4` a dimension, `3m5k` a code.
    fn number(&mut self, value: f64, length: usize) {
        let after = &self.rest()[length..];
        let letters = length_while(after, |c| c.is_alphabetic() && !is_ideograph(c));
        let beyond = after[letters..].chars().next();
        let crosses = after[..letters].eq_ignore_ascii_case("x") && beyond.is_some_and(|c| c.is_ascii_digit());
        if letters > 0 && !crosses && beyond.is_some_and(|c| c.is_alphanumeric() && !is_ideograph(c)) {
            let whole = length_while(self.rest(), |c| c.is_alphanumeric() && !is_ideograph(c));
            if whole > length {
                let code = fold(&self.rest()[..whole]);
                self.push(ChunkKind::Code, code.into(), whole);
                return;
            }
        }
        self.push(ChunkKind::Number, number_text(value).into(), length);
        if let Some(chunk) = self.chunks.last_mut() {
            chunk.value = value;
        }
    }

    fn word(&mut self) {
        let rest = self.rest();
        // `36 in. x36`: the sign clings to the number.
        if rest.len() > 1
            && rest.starts_with(['x', 'X'])
            && rest[1..].starts_with(|c: char| c.is_ascii_digit())
            && self.follows_number()
        {
            self.push(ChunkKind::Mark, "x".into(), 1);
            return;
        }
        let mut length = length_while(rest, |c| (c.is_alphanumeric() || is_combining_mark(c)) && !is_ideograph(c));
        let raw = &rest[..length];
        if raw.chars().any(char::is_numeric) {
            self.push(ChunkKind::Code, fold(raw).into(), length);
            return;
        }
        let mut text = fold(raw);
        let parts = capital_parts(raw);
        let accented: Option<CompactString> =
            (!raw.is_ascii()).then(|| raw.nfc().flat_map(char::to_lowercase).collect());
        let mut accented = accented.filter(|accented| *accented != text);
        if let Some((tail, tail_length)) = apostrophe(&rest[length..]) {
            text.push_str(&tail);
            accented = accented.map(|accented| accented + &tail);
            length += tail_length;
        }
        self.push(ChunkKind::Word, text.into(), length);
        if let Some(chunk) = self.chunks.last_mut() {
            chunk.parts = parts;
            chunk.accented = accented;
        }
    }

    fn follows_number(&self) -> bool {
        let before = self.chunks.iter().rev().take(3);
        before.into_iter().any(|chunk| chunk.kind == ChunkKind::Number)
    }

    fn push(&mut self, kind: ChunkKind, text: CompactString, length: usize) {
        if !text.is_empty() {
            let (start, end) = (self.at, self.at + length);
            self.chunks.push(Chunk {
                kind,
                text,
                value: 0.0,
                parts: Vec::new(),
                accented: None,
                spaced: self.spaced,
                start,
                end,
            });
        }
        self.spaced = false;
        self.at += length;
    }
}

fn length_while(text: &str, keep: impl Fn(char) -> bool) -> usize {
    text.find(|character| !keep(character)).unwrap_or(text.len())
}

fn mark_text(mark: char) -> CompactString {
    let mut buffer = [0; 4];
    CompactString::from(match mark {
        '\u{201c}' | '\u{201d}' | '\u{2033}' => "\"",
        '\u{2018}' | '\u{2019}' | '\u{2032}' | '`' | '\u{b4}' => "'",
        '\u{2010}'..='\u{2014}' | '\u{2212}' => "-",
        _ => mark.encode_utf8(&mut buffer),
    })
}

/// An HTML entity: what it means to a reader, and its length.
fn entity(text: &str) -> Option<(&'static str, usize)> {
    let body = text.strip_prefix('&')?;
    let end = body.char_indices().take(8).find(|(_, c)| *c == ';')?.0;
    let name = &body[..end];
    let valid = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '#');
    let mark = match name {
        "quot" | "#34" => "\"",
        "apos" | "#39" => "'",
        _ => "",
    };
    valid.then_some((mark, end + 2))
}

/// What follows an apostrophe: `'s` is dropped, other letters join their word (`o'brien`, `l'eau`).
fn apostrophe(text: &str) -> Option<(String, usize)> {
    let mark = text.chars().next().filter(|c| matches!(c, '\'' | '\u{2019}'))?;
    let after = &text[mark.len_utf8()..];
    let letters = length_while(after, |c| c.is_alphabetic() && !is_ideograph(c));
    let tail = fold(&after[..letters]);
    let length = mark.len_utf8() + letters;
    match tail.as_str() {
        "" => None,
        "s" => Some((String::new(), length)),
        _ => Some((tail, length)),
    }
}

/// `DeckOver`: deck, over. Only where each part is long enough to be a word.
fn capital_parts(word: &str) -> Vec<CompactString> {
    const SHORTEST_PART: usize = 3;
    let mut starts = vec![0];
    let mut before_is_lower = false;
    for (at, character) in word.char_indices() {
        if character.is_uppercase() && before_is_lower {
            starts.push(at);
        }
        before_is_lower = character.is_lowercase();
    }
    if starts.len() == 1 {
        return Vec::new();
    }
    let ends = starts[1..].iter().copied().chain([word.len()]);
    let parts: Vec<CompactString> =
        starts.iter().zip(ends).map(|(&start, end)| fold(&word[start..end]).into()).collect();
    if parts.iter().all(|part| part.chars().count() >= SHORTEST_PART) { parts } else { Vec::new() }
}

/// A number at the beginning and its length: `1,000`, `1.9`, `.5`, `3/4`, `1-1/2`, `1 1/2`, `½`.
fn number(text: &str) -> Option<(f64, usize)> {
    if let Some(found) = vulgar_fraction(text) {
        return Some(found);
    }
    let (whole, mut length) = decimal(text)?;
    if text[..length].contains(['.', ',']) {
        return Some((whole, length));
    }
    if let Some((denominator, more)) = text[length..].strip_prefix('/').and_then(integer)
        && let Some(value) = fraction(whole, denominator)
        && !text[length + 1 + more..].starts_with('/')
    {
        return Some((value, length + 1 + more));
    }
    let after = &text[length..];
    if let Some((part, more)) = after.strip_prefix(['-', ' ']).and_then(proper_fraction) {
        return Some((whole + part, length + 1 + more));
    }
    if let Some((part, more)) = vulgar_fraction(after) {
        length += more;
        return Some((whole + part, length));
    }
    Some((whole, length))
}

fn vulgar_fraction(text: &str) -> Option<(f64, usize)> {
    let character = text.chars().next()?;
    let value = match character {
        '½' => 0.5,
        '¼' => 0.25,
        '¾' => 0.75,
        '⅓' => 1.0 / 3.0,
        '⅔' => 2.0 / 3.0,
        '⅛' => 0.125,
        '⅜' => 0.375,
        '⅝' => 0.625,
        '⅞' => 0.875,
        _ => return None,
    };
    Some((value, character.len_utf8()))
}

/// `1/2` and the like, below one, not followed by another digit or slash.
fn proper_fraction(text: &str) -> Option<(f64, usize)> {
    let (numerator, first) = integer(text)?;
    let (denominator, second) = text[first..].strip_prefix('/').and_then(integer)?;
    let length = first + 1 + second;
    let value = fraction(numerator, denominator)?;
    (value < 1.0).then_some((value, length))
}

/// Only denominators that rulers have; `2015/16` is no fraction.
fn fraction(numerator: f64, denominator: f64) -> Option<f64> {
    let usual = [2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0, 12.0, 16.0, 32.0, 64.0].contains(&denominator);
    (usual && numerator > 0.0 && numerator < 100.0).then(|| numerator / denominator)
}

fn integer(text: &str) -> Option<(f64, usize)> {
    let length = length_while(text, |c| c.is_ascii_digit());
    Some((text[..length].parse().ok().filter(|_| length <= 15)?, length))
}

fn decimal(text: &str) -> Option<(f64, usize)> {
    const LONGEST: usize = 15;
    let digits = length_while(text, |c| c.is_ascii_digit());
    if digits > LONGEST || (digits == 0 && !text.starts_with('.')) {
        return None;
    }
    let after = &text[digits..];
    let mut separators = after.chars();
    let separator = separators.next().filter(|c| matches!(c, '.' | ','));
    let more = separator.map_or(0, |_| length_while(&after[1..], |c| c.is_ascii_digit()));
    if more == 0 || digits + more > LONGEST {
        return Some((text[..digits].parse().ok()?, digits));
    }
    let length = digits + 1 + more;
    let thousands = separator == Some(',') && more == 3 && digits > 0;
    let joined = if thousands { "" } else { "." };
    let value = format!("{}{joined}{}", &text[..digits], &text[digits + 1..length]).parse().ok()?;
    Some((value, length))
}

/// At most four decimals, no zeros at the end.
pub(super) fn number_text(value: f64) -> String {
    let text = format!("{value:.4}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}
