//! Selects the memories that fit into a context with a token budget.

/// A memory that may go into a context.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Piece {
    /// Sequence number in the log. The memories in a context are in this order.
    pub seq: i64,
    /// Size in tokens.
    pub tokens: usize,
    /// Value of the memory. A memory of no value is included only if it is mandatory.
    pub worth: f64,
}

/// Result of packing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Packed {
    /// Indexes of the included pieces, in the order of the log.
    pub taken: Vec<usize>,
    /// Indexes of the pieces left out, best first.
    pub elided: Vec<usize>,
    /// Tokens of the included pieces.
    pub tokens: usize,
}

/// The mandatory pieces exceed the budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BudgetExceeded {
    /// Tokens of the mandatory pieces.
    pub tokens: usize,
}

/// Includes all mandatory pieces, then optional pieces by value per token as long as they fit. Of two pieces with equal
/// value per token the newer one is preferred.
///
/// The result is in the order of the log, not of value. Contexts with the same memories therefore start with the same
/// bytes, and a new memory goes to the end, so that providers' prompt caches still match the start.
pub fn pack(
    mandatory: &[Piece],
    optional: &[Piece],
    budget: usize,
) -> Result<(Packed, Packed), BudgetExceeded> {
    let needed = mandatory.iter().map(|piece| piece.tokens).sum();
    if needed > budget {
        return Err(BudgetExceeded { tokens: needed });
    }
    let mut by_log: Vec<usize> = (0..mandatory.len()).collect();
    by_log.sort_by_key(|place| mandatory[*place].seq);
    let first = Packed { taken: by_log, elided: Vec::new(), tokens: needed };

    let density =
        |piece: &Piece| piece.worth / f64::from(u32::try_from(piece.tokens.max(1)).unwrap_or(u32::MAX));
    let mut best: Vec<usize> = (0..optional.len()).collect();
    best.sort_by(|a, b| {
        let (a, b) = (&optional[*a], &optional[*b]);
        density(b).total_cmp(&density(a)).then(b.seq.cmp(&a.seq))
    });
    let mut rest = Packed::default();
    for place in best {
        let piece = &optional[place];
        if piece.worth > 0.0 && needed + rest.tokens + piece.tokens <= budget {
            rest.tokens += piece.tokens;
            rest.taken.push(place);
        } else {
            rest.elided.push(place);
        }
    }
    rest.taken.sort_by_key(|place| optional[*place].seq);
    rest.elided.sort_by(|a, b| optional[*b].worth.total_cmp(&optional[*a].worth).then(a.cmp(b)));
    Ok((first, rest))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn piece(seq: i64, tokens: usize, worth: f64) -> Piece {
        Piece { seq, tokens, worth }
    }

    #[test]
    fn what_is_worth_most_for_each_token_goes_in() {
        let optional = [piece(1, 50, 1.0), piece(2, 10, 0.9), piece(3, 45, 0.8), piece(4, 1, 0.0)];
        let (first, rest) = pack(&[piece(9, 5, 0.0), piece(8, 5, 0.0)], &optional, 70).unwrap();
        assert_eq!((first.taken, first.tokens), (vec![1, 0], 10));
        assert_eq!((rest.taken, rest.elided, rest.tokens), (vec![0, 1], vec![2, 3], 60));
        assert_eq!(pack(&[piece(1, 5, 0.0)], &[], 4), Err(BudgetExceeded { tokens: 5 }));
    }

    #[test]
    fn a_new_memory_stands_at_the_end() {
        let before = [piece(1, 10, 0.5), piece(2, 10, 0.9)];
        let after = [piece(3, 10, 0.95), piece(1, 10, 0.5), piece(2, 10, 0.9)];
        let order = |pieces: &[Piece]| -> Vec<i64> {
            pack(&[], pieces, 100).unwrap().1.taken.iter().map(|place| pieces[*place].seq).collect()
        };
        assert_eq!((order(&before), order(&after)), (vec![1, 2], vec![1, 2, 3]));
    }

    proptest! {
        #[test]
        fn the_budget_is_kept_and_nothing_is_lost(
            mandatory in prop::collection::vec((0_usize..50, 0.0_f64..1.0), 0..8),
            optional in prop::collection::vec((0_usize..50, 0.0_f64..1.0), 0..30),
            budget in 0_usize..400,
        ) {
            let pieces = |from: &[(usize, f64)]| -> Vec<Piece> {
                (0..).zip(from).map(|(seq, (tokens, worth))| piece(seq, *tokens, *worth)).collect()
            };
            let (mandatory, optional) = (pieces(&mandatory), pieces(&optional));
            match pack(&mandatory, &optional, budget) {
                Err(BudgetExceeded { tokens }) => prop_assert!(tokens > budget),
                Ok((first, rest)) => {
                    prop_assert!(first.tokens + rest.tokens <= budget);
                    prop_assert_eq!(first.taken.len(), mandatory.len());
                    prop_assert_eq!(rest.taken.len() + rest.elided.len(), optional.len());
                    let left = budget - first.tokens - rest.tokens;
                    for place in &rest.elided {
                        prop_assert!(optional[*place].tokens > left || optional[*place].worth <= 0.0);
                    }
                    prop_assert!(rest.taken.is_sorted());
                }
            }
        }
    }
}
