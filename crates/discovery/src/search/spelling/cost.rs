//! How unlikely it is that a word was typed for another.

/// Words that cost more than these are not taken for each other, by their length.
fn most(length: usize) -> f32 {
    match length {
        0..=3 => 0.8,
        4 => 1.1,
        5..=6 => 1.7,
        7..=8 => 2.2,
        _ => 2.8,
    }
}

const ROWS: [&[u8]; 3] = [b"qwertyuiop", b"asdfghjkl", b"zxcvbnm"];

/// Row and column of each letter on the usual keyboard.
const KEYS: [(i8, i8); 26] = {
    let mut keys = [(0, 0); 26];
    let mut row = 0;
    while row < ROWS.len() {
        let mut column = 0;
        while column < ROWS[row].len() {
            keys[(ROWS[row][column] - b'a') as usize] = (row as i8, column as i8);
            column += 1;
        }
        row += 1;
    }
    keys
};

/// Whether two keys touch.
fn are_neighbours(a: char, b: char) -> bool {
    let place = |key: char| key.is_ascii_lowercase().then(|| KEYS[key as usize - 'a' as usize]);
    match (place(a), place(b)) {
        (Some((row_a, a)), Some((row_b, b))) => (row_a - row_b).abs() <= 1 && (a - b).abs() <= 1,
        _ => false,
    }
}

fn is_vowel(letter: char) -> bool {
    matches!(letter, 'a' | 'e' | 'i' | 'o' | 'u' | 'y')
}

fn sound_alike(a: char, b: char) -> bool {
    const GROUPS: [&str; 6] = ["ckqs", "szx", "gj", "dt", "bp", "fv"];
    GROUPS.iter().any(|group| group.contains(a) && group.contains(b))
}

fn substitution(typed: char, meant: char) -> f32 {
    if typed == meant {
        0.0
    } else if (is_vowel(typed) && is_vowel(meant)) || sound_alike(typed, meant) {
        0.65
    } else if are_neighbours(typed, meant) {
        0.75
    } else {
        1.0
    }
}

/// One letter too many or too few: cheap where it doubles a neighbour, cheaper for vowels than for consonants.
fn gap(letter: char, before: Option<char>, after: Option<char>) -> f32 {
    if before == Some(letter) || after == Some(letter) {
        DOUBLED
    } else if is_vowel(letter) || letter == 'h' {
        0.7
    } else {
        0.85
    }
}

/// What two different words cost at least.
pub(super) const LEAST: f32 = DOUBLED;
const DOUBLED: f32 = 0.45;
/// The first letter is rarely wrong.
const FIRST_LETTER: f32 = 0.4;
const TRANSPOSITION: f32 = 0.6;

/// Weighted edit distance with transpositions (Damerau 1964, optimal string alignment); `None` where it is too much.
pub(super) fn typing_cost(typed: &str, meant: &str) -> Option<f32> {
    let typed: Vec<char> = typed.chars().collect();
    let meant: Vec<char> = meant.chars().collect();
    let most = most(typed.len().max(meant.len()));
    if typed.len().abs_diff(meant.len()) > 4 {
        return None;
    }
    let width = meant.len() + 1;
    let mut costs = vec![0.0f32; (typed.len() + 1) * width];
    for column in 1..width {
        costs[column] = costs[column - 1] + gap_at(&meant, column - 1);
    }
    for row in 1..=typed.len() {
        costs[row * width] = costs[(row - 1) * width] + gap_at(&typed, row - 1);
        for column in 1..width {
            let (a, b) = (typed[row - 1], meant[column - 1]);
            let above = costs[(row - 1) * width + column] + gap_at(&typed, row - 1);
            let left = costs[row * width + column - 1] + gap_at(&meant, column - 1);
            let mut cost = (costs[(row - 1) * width + column - 1] + substitution(a, b)).min(above).min(left);
            if row > 1 && column > 1 && a == meant[column - 2] && typed[row - 2] == b && a != b {
                cost = cost.min(costs[(row - 2) * width + column - 2] + TRANSPOSITION);
            }
            costs[row * width + column] = cost;
        }
    }
    let first = if typed.first() == meant.first() { 0.0 } else { FIRST_LETTER };
    let cost = costs[costs.len() - 1] + first;
    (cost <= most).then_some(cost)
}

fn gap_at(letters: &[char], at: usize) -> f32 {
    let before = at.checked_sub(1).map(|before| letters[before]);
    gap(letters[at], before, letters.get(at + 1).copied())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_cost_less_than_other_words() {
        let cost = |typed, meant| typing_cost(typed, meant).unwrap_or(f32::INFINITY);
        assert_eq!(cost("shelf", "shelf"), 0.0);
        assert!(cost("sheld", "shelf") < cost("shelp", "shelf"));
        assert!(cost("fuacet", "faucet") < cost("fbucet", "faucet"));
        assert!(cost("toillet", "toilet") < cost("toiklet", "toilet"));
        assert!(cost("oilet", "toilet") > cost("toiet", "toilet"));
        assert_eq!(typing_cost("saw", "sew"), Some(0.65));
        assert_eq!(typing_cost("drill", "grind"), None);
    }
}
