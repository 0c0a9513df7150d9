//! The order in which correlations can be evaluated: each behind those that it reads.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// What an order is found for, and what stands outside of it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Order {
    /// Each behind those that it reads; where that leaves a choice, in ascending order.
    pub(crate) sorted: Vec<usize>,
    /// Circles: each member reads the next one, the last the first.
    pub(crate) circles: Vec<Vec<usize>>,
    /// Those that are in none of the circles, but read one of them or of these.
    pub(crate) behind: Vec<usize>,
}

/// Orders correlations, of which each reads those in its list. Of circles that share a member one is told.
///
/// Time is that of sorting; the depth of a chain costs no stack.
pub(crate) fn order(reads: &[Vec<usize>]) -> Order {
    let mut readers: Vec<Vec<usize>> = vec![Vec::new(); reads.len()];
    let mut missing: Vec<usize> = vec![0; reads.len()];
    for (at, list) in reads.iter().enumerate() {
        missing[at] = list.len();
        for read in list {
            readers[*read].push(at);
        }
    }
    let mut ready: BinaryHeap<Reverse<usize>> = (0..reads.len())
        .filter(|at| missing[*at] == 0)
        .map(Reverse)
        .collect();
    let mut order = Order::default();
    let mut sorted = vec![false; reads.len()];
    while let Some(Reverse(at)) = ready.pop() {
        sorted[at] = true;
        order.sorted.push(at);
        for reader in &readers[at] {
            missing[*reader] -= 1;
            if missing[*reader] == 0 {
                ready.push(Reverse(*reader));
            }
        }
    }
    if order.sorted.len() < reads.len() {
        find_circles(reads, &sorted, &mut order);
    }
    order
}

/// Each of the rest reads one of the rest, so whoever follows these ends in a circle.
fn find_circles(reads: &[Vec<usize>], sorted: &[bool], order: &mut Order) {
    const UNSEEN: usize = usize::MAX;
    let rest: Vec<usize> = (0..reads.len()).filter(|at| !sorted[*at]).collect();
    // In which walk each was met.
    let mut walks = vec![UNSEEN; reads.len()];
    let mut in_circle = vec![false; reads.len()];
    for start in &rest {
        let mut path = Vec::new();
        let mut at = *start;
        while walks[at] == UNSEEN {
            walks[at] = *start;
            path.push(at);
            let next = reads[at].iter().find(|read| !sorted[**read]);
            at = *next.expect("what reads nothing of the rest is sorted");
        }
        if walks[at] == *start
            && let Some(from) = path.iter().position(|member| *member == at)
        {
            let circle = path.split_off(from);
            for member in &circle {
                in_circle[*member] = true;
            }
            order.circles.push(circle);
        }
    }
    order.behind = rest.into_iter().filter(|at| !in_circle[*at]).collect();
}

#[cfg(test)]
mod tests {
    use super::{Order, order};

    #[test]
    fn each_stands_behind_those_that_it_reads() {
        let reads = [vec![2, 1], vec![3], vec![], vec![], vec![0, 3]];
        let expected = Order {
            sorted: vec![2, 3, 1, 0, 4],
            ..Order::default()
        };
        assert_eq!(order(&reads), expected);
    }

    #[test]
    fn circles_are_told_apart_from_those_behind_them() {
        // 0 reads itself; 1, 2 and 3 are a circle; 4 reads it, 5 reads 4; 6 is free.
        let reads = [
            vec![0],
            vec![2, 6],
            vec![3],
            vec![1],
            vec![6, 2],
            vec![4],
            vec![],
        ];
        let expected = Order {
            sorted: vec![6],
            circles: vec![vec![0], vec![1, 2, 3]],
            behind: vec![4, 5],
        };
        assert_eq!(order(&reads), expected);
    }

    #[test]
    fn a_long_chain_costs_no_stack() {
        let reads: Vec<Vec<usize>> = (0..100_000_usize)
            .map(|at| at.checked_sub(1).into_iter().collect())
            .collect();
        assert_eq!(order(&reads).sorted.len(), 100_000);
        let circle: Vec<Vec<usize>> = (0..100_000).map(|at| vec![(at + 1) % 100_000]).collect();
        assert_eq!(order(&circle).circles[0].len(), 100_000);
    }
}
