//! Which word was meant.

/// The known word that is nearest to a mistyped one, if one is near enough.
pub(super) fn nearest<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    let small = word.to_lowercase();
    if let Some(longer) = known.iter().find(|k| small.len() > 3 && k.starts_with(&small)) {
        return Some(longer);
    }
    let limit = small.chars().count() / 3 + 1;
    let near = known.iter().map(|k| (distance(&small, k), *k)).min()?;
    (near.0 <= limit && near.0 < near.1.len()).then_some(near.1)
}

/// Letters to insert, to drop, to replace or to swap with the next one.
fn distance(a: &str, b: &str) -> usize {
    // A longer word is near to nothing, and the time is the product of the lengths.
    if a.len() > 64 {
        return usize::MAX;
    }
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows = vec![(0..=b.len()).collect::<Vec<usize>>()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let replaced = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut least = replaced.min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                least = least.min(rows[i - 2][j - 2] + 1);
            }
            row.push(least);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_word_that_was_meant() {
        let known = ["timeout", "attempts", "min_digits", "max_digits", "url"];
        for (word, meant) in [
            ("timeuot", Some("timeout")),
            ("max_digit", Some("max_digits")),
            ("Timeout", Some("timeout")),
            ("URL", Some("url")),
            ("uri", Some("url")),
            ("digits", None),
            ("attempt", Some("attempts")),
            ("x", None),
            ("password", None),
        ] {
            assert_eq!(nearest(word, &known), meant, "{word}");
        }
    }
}
