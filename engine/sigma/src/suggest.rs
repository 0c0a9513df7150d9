//! "Did you mean": the known word nearest to a misspelt one.

/// Longer words are not compared: the distance costs the product of the lengths.
const WORD_MAX: usize = 40;

/// The candidate at the smallest edit distance, if that is small enough to be a slip: one edit for words
/// of up to five letters, two beyond. Of equals the first wins.
pub(crate) fn closest<'a>(
    word: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let length = word.chars().count();
    if !(2..=WORD_MAX).contains(&length) {
        return None;
    }
    let allowed = if length <= 5 { 1 } else { 2 };
    candidates
        .into_iter()
        .filter(|candidate| {
            *candidate != word && candidate.chars().count().abs_diff(length) <= allowed
        })
        .map(|candidate| (distance(word, candidate), candidate))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// `did you mean ...?` for the closest candidate, if it is close enough for a slip: one edit away, of words longer than
/// five letters two, letters of either case being the same.
pub fn did_you_mean<'a>(
    word: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<String> {
    closest(word, candidates).map(|candidate| format!("did you mean `{candidate}`?"))
}

/// Edits between two words, regardless of case: insertions, deletions, replacements, and swaps of
/// neighbours.
fn distance(left: &str, right: &str) -> usize {
    let left: Vec<char> = left.to_lowercase().chars().collect();
    let right: Vec<char> = right.to_lowercase().chars().collect();
    let mut before_last = vec![0; right.len() + 1];
    let mut last: Vec<usize> = (0..=right.len()).collect();
    for (row, l) in left.iter().enumerate() {
        let mut current = vec![row + 1];
        for (column, r) in right.iter().enumerate() {
            let mut best = (last[column] + usize::from(l != r))
                .min(last[column + 1] + 1)
                .min(current[column] + 1);
            let swapped = row > 0 && column > 0 && left[row - 1] == *r && right[column - 1] == *l;
            if swapped {
                best = best.min(before_last[column - 1] + 1);
            }
            current.push(best);
        }
        before_last = std::mem::replace(&mut last, current);
    }
    last[right.len()]
}

#[cfg(test)]
mod tests {
    use super::closest;

    #[test]
    fn slips_are_recognised_and_other_words_are_not() {
        let known = ["related", "falsepositives", "level", "tags"];
        assert_eq!(closest("realted", known), Some("related"));
        assert_eq!(closest("falsepositive", known), Some("falsepositives"));
        assert_eq!(closest("Level", known), Some("level"));
        assert_eq!(closest("owner", known), None);
        assert_eq!(closest("x", known), None);
    }
}
