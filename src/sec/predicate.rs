//! Predicates on payloads: as a caller writes them, and resolved against declared fields.
//!
//! A predicate is a question, never stored. [`SecPredicate::resolve`] checks it whole before anything
//! is read; what it gives, a [`Filter`], is asked of the values of one row or of the indexes of a
//! segment, with one answer (I12).

use std::collections::BTreeMap;
use std::ops::Bound;

use roaring::RoaringBitmap;

use crate::error::{Error, Result};
use crate::limits::{PREDICATE_DEPTH_MAX, PREDICATE_PARTS_MAX};
use crate::sec::field::{FieldType, FilterableField};
use crate::sec::payload::RowValues;
use crate::sec::terms::TermSet;
use crate::sec::value::{SecValue, Term};

/// A condition on the filterable fields of a row.
///
/// `field` is the path of a declared field, as it was declared. A field can have several values, the
/// elements of an array; `Eq`, `In` and `Range` hold if any of them does. On an absent field they do
/// not hold.
///
/// *Units and limits*: nested at most [`PREDICATE_DEPTH_MAX`] deep; at most [`PREDICATE_PARTS_MAX`]
/// predicates and values of `In` together.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum SecPredicate {
    /// Some value equals this one.
    Eq {
        /// The declared path.
        field: String,
        /// Of the type of the field.
        value: SecValue,
    },
    /// Some value equals one of these. It holds nowhere without any.
    In {
        /// The declared path.
        field: String,
        /// Of the type of the field.
        values: Vec<SecValue>,
    },
    /// Some value lies between two bounds. It holds nowhere if the lower is above the upper, and
    /// wherever the field is present without either. Not for bool fields.
    Range {
        /// The declared path.
        field: String,
        /// The lower bound; `None` for no bound.
        lo: Option<SecValue>,
        /// The upper bound; `None` for no bound.
        hi: Option<SecValue>,
        /// Whether the lower bound itself is in the range.
        lo_inclusive: bool,
        /// Whether the upper bound itself is in the range.
        hi_inclusive: bool,
    },
    /// All of these hold. It holds everywhere without any.
    And(Vec<SecPredicate>),
    /// One of these holds. It holds nowhere without any.
    Or(Vec<SecPredicate>),
    /// This one does not hold.
    Not(Box<SecPredicate>),
    /// The field has a value.
    Exists {
        /// The declared path.
        field: String,
    },
}

impl SecPredicate {
    /// Checks the predicate against the declared fields.
    ///
    /// # Errors
    /// `InvalidArgument` naming the field for one that is not declared, a value of another type, NaN,
    /// a range of booleans; and for a predicate beyond its limits.
    pub fn validate(&self, fields: &[FilterableField]) -> Result<()> {
        self.resolve(fields).map(drop)
    }

    /// The predicate over the values of rows whose fields are these, in this order.
    ///
    /// # Errors
    /// As for [`validate`](Self::validate).
    pub(crate) fn resolve(&self, fields: &[FilterableField]) -> Result<Filter> {
        let by_path = fields.iter().enumerate().map(|(i, it)| (&*it.path, (i, it.field_type)));
        Resolver { fields: by_path.collect(), parts: 0 }.resolve(self, 1)
    }
}

struct Resolver<'a> {
    fields: BTreeMap<&'a str, (usize, FieldType)>,
    parts: usize,
}

impl Resolver<'_> {
    fn count(&mut self, parts: usize) -> Result<()> {
        self.parts = self.parts.saturating_add(parts);
        if self.parts > PREDICATE_PARTS_MAX {
            return Err(Error::invalid(format!(
                "predicate: more than {PREDICATE_PARTS_MAX} predicates and values"
            )));
        }
        Ok(())
    }

    fn resolve(&mut self, predicate: &SecPredicate, depth: usize) -> Result<Filter> {
        if depth > PREDICATE_DEPTH_MAX {
            return Err(Error::invalid(format!(
                "predicate: nested more than {PREDICATE_DEPTH_MAX} deep"
            )));
        }
        self.count(1)?;
        let (field, leaf): (&String, Leaf<'_>) = match predicate {
            SecPredicate::Eq { field, value } => (field, Leaf::In(std::slice::from_ref(value))),
            SecPredicate::In { field, values } => {
                self.count(values.len())?;
                (field, Leaf::In(values))
            }
            SecPredicate::Range { field, lo, hi, lo_inclusive, hi_inclusive } => {
                (field, Leaf::Range([(lo.as_ref(), *lo_inclusive), (hi.as_ref(), *hi_inclusive)]))
            }
            SecPredicate::Exists { field } => (field, Leaf::Exists),
            SecPredicate::And(parts) => return Ok(Filter::And(self.resolve_all(parts, depth)?)),
            SecPredicate::Or(parts) => return Ok(Filter::Or(self.resolve_all(parts, depth)?)),
            SecPredicate::Not(part) => {
                return Ok(Filter::Not(Box::new(self.resolve(part, depth + 1)?)));
            }
        };
        let Some(&(index, field_type)) = self.fields.get(&**field) else {
            return Err(Error::invalid(format!(
                "predicate on {field:?}: no such filterable field"
            )));
        };
        let terms = leaf.terms(field_type).map_err(|error| {
            let kind = error.kind();
            error.reported_as(kind, &format!("predicate on {field:?}"))
        })?;
        Ok(Filter::Leaf { field: index, terms })
    }

    fn resolve_all(&mut self, parts: &[SecPredicate], depth: usize) -> Result<Vec<Filter>> {
        parts.iter().map(|part| self.resolve(part, depth + 1)).collect()
    }
}

/// A predicate on one field, without the field.
enum Leaf<'a> {
    In(&'a [SecValue]),
    Range([(Option<&'a SecValue>, bool); 2]),
    Exists,
}

impl Leaf<'_> {
    fn terms(&self, field_type: FieldType) -> Result<TermSet> {
        let bound = |(value, is_inclusive): (Option<&SecValue>, bool)| -> Result<Bound<Term>> {
            let Some(value) = value else { return Ok(Bound::Unbounded) };
            let term = value.term(field_type)?;
            Ok(if is_inclusive { Bound::Included(term) } else { Bound::Excluded(term) })
        };
        match self {
            Self::Range(_) if field_type == FieldType::Bool => {
                Err(Error::invalid("a range on a bool field"))
            }
            Self::Range([lo, hi]) => Ok(TermSet::between(bound(*lo)?, bound(*hi)?)),
            Self::In(values) => {
                let terms = values.iter().map(|value| value.term(field_type));
                Ok(TermSet::points(terms.collect::<Result<_>>()?))
            }
            Self::Exists => Ok(TermSet::all()),
        }
    }
}

/// A predicate that is known to be good, over fields by their number.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Filter {
    /// Some value of the field is in the set.
    Leaf {
        field: usize,
        terms: TermSet,
    },
    And(Vec<Filter>),
    Or(Vec<Filter>),
    Not(Box<Filter>),
}

impl Filter {
    /// Whether a row with these values holds.
    pub(crate) fn matches(&self, values: &RowValues) -> bool {
        match self {
            Self::Leaf { field, terms } => values.terms(*field).any(|term| terms.contains(term)),
            Self::And(parts) => parts.iter().all(|part| part.matches(values)),
            Self::Or(parts) => parts.iter().any(|part| part.matches(values)),
            Self::Not(part) => !part.matches(values),
        }
    }

    /// The rows that hold, of so many; `leaf` answers for one field.
    ///
    /// A part of `And` is not asked for once no row is left.
    ///
    /// # Errors
    /// Those of `leaf`.
    pub(crate) fn rows(
        &self,
        count: u32,
        leaf: &mut dyn FnMut(usize, &TermSet) -> Result<RoaringBitmap>,
    ) -> Result<RoaringBitmap> {
        match self {
            Self::Leaf { field, terms } => leaf(*field, terms),
            Self::Or(parts) => {
                let mut rows = RoaringBitmap::new();
                for part in parts {
                    rows |= part.rows(count, leaf)?;
                }
                Ok(rows)
            }
            // Taken off what holds otherwise, a negation need not be written out.
            Self::And(parts) => {
                let mut rows: Option<RoaringBitmap> = None;
                for part in parts.iter().filter(|part| !matches!(part, Self::Not(_))) {
                    if rows.as_ref().is_some_and(RoaringBitmap::is_empty) {
                        break;
                    }
                    let others = part.rows(count, leaf)?;
                    rows = Some(match rows {
                        None => others,
                        Some(rows) => rows & others,
                    });
                }
                let mut rows = rows.unwrap_or_else(|| all(count));
                for part in parts {
                    if let (Self::Not(part), false) = (part, rows.is_empty()) {
                        rows -= part.rows(count, leaf)?;
                    }
                }
                Ok(rows)
            }
            Self::Not(part) => Ok(all(count) - part.rows(count, leaf)?),
        }
    }
}

impl Filter {
    /// Whether the values of a field are looked at.
    pub(crate) fn asks(&self, field: usize) -> bool {
        match self {
            Self::Leaf { field: own, .. } => *own == field,
            Self::And(parts) | Self::Or(parts) => parts.iter().any(|part| part.asks(field)),
            Self::Not(part) => part.asks(field),
        }
    }
}

fn all(count: u32) -> RoaringBitmap {
    let mut rows = RoaringBitmap::new();
    rows.insert_range(0..count);
    rows
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    fn fields() -> [FilterableField; 3] {
        let keyword = FilterableField::keyword("k");
        [keyword, FilterableField::numeric(r"a.n\.n"), FilterableField::boolean("b")]
    }

    fn eq(field: &str, value: SecValue) -> SecPredicate {
        SecPredicate::Eq { field: field.into(), value }
    }

    fn refused(predicate: &SecPredicate, message: &str) {
        let error = predicate.validate(&fields()).expect_err(message);
        let expected = (ErrorKind::InvalidArgument, message.to_owned());
        assert_eq!((error.kind(), error.to_string()), expected);
    }

    fn range(field: &str, lo: Option<SecValue>, hi: Option<SecValue>) -> SecPredicate {
        let field = field.into();
        SecPredicate::Range { field, lo, hi, lo_inclusive: true, hi_inclusive: true }
    }

    #[test]
    fn predicate_that_does_not_fit_its_field_is_refused_by_name() {
        refused(&eq("n", SecValue::Integer(1)), r#"predicate on "n": no such filterable field"#);
        refused(
            &SecPredicate::Exists { field: String::new() },
            r#"predicate on "": no such filterable field"#,
        );
        let on_k = r#"predicate on "k": "#;
        let keyword = || SecValue::Keyword("x".into());
        refused(
            &eq("k", SecValue::Unsigned(1)),
            &format!("{on_k}a numeric value on a keyword field"),
        );
        refused(&eq("k", SecValue::Bool(true)), &format!("{on_k}a bool value on a keyword field"));
        let n = r"a.n\.n";
        let of_n = r#"predicate on "a.n\\.n": "#;
        let values = vec![SecValue::Numeric(1.0), keyword()];
        refused(
            &SecPredicate::In { field: n.into(), values },
            &format!("{of_n}a keyword value on a numeric field"),
        );
        let nan = || Some(SecValue::Numeric(f64::NAN));
        refused(&range(n, None, nan()), &format!("{of_n}NaN compares with nothing"));
        refused(&range(n, nan(), None), &format!("{of_n}NaN compares with nothing"));
        refused(&range("b", None, None), r#"predicate on "b": a range on a bool field"#);
        // Nothing is left out because another part has settled the answer.
        let settled = SecPredicate::Or(vec![SecPredicate::And(Vec::new()), eq("k", keyword())]);
        settled.validate(&fields()).expect("a good one");
        let settled = SecPredicate::Or(vec![SecPredicate::And(Vec::new()), eq("x", keyword())]);
        refused(&settled, r#"predicate on "x": no such filterable field"#);
    }

    #[test]
    fn depth_and_parts_are_bounded() {
        let nested = |depth: usize| {
            let innermost = SecPredicate::And(Vec::new());
            (1..depth).fold(innermost, |inner, _| SecPredicate::Not(Box::new(inner)))
        };
        nested(PREDICATE_DEPTH_MAX).validate(&[]).expect("as deep as may be");
        refused(&nested(PREDICATE_DEPTH_MAX + 1), "predicate: nested more than 64 deep");
        refused(&nested(10_000), "predicate: nested more than 64 deep");

        let values = |count: usize| SecPredicate::In {
            field: "b".into(),
            values: vec![SecValue::Bool(true); count],
        };
        values(PREDICATE_PARTS_MAX - 1).validate(&fields()).expect("as many as may be");
        let message = "predicate: more than 65536 predicates and values";
        refused(&values(PREDICATE_PARTS_MAX), message);
        let or = |count: usize| SecPredicate::Or(vec![SecPredicate::Or(Vec::new()); count]);
        or(PREDICATE_PARTS_MAX - 1).validate(&fields()).expect("as many as may be");
        refused(&or(PREDICATE_PARTS_MAX), message);
    }

    #[test]
    fn bounds_that_leave_nothing_hold_nowhere_and_none_wherever_present() {
        let terms = |predicate: &SecPredicate| match predicate.resolve(&fields()) {
            Ok(Filter::Leaf { terms, .. }) => terms,
            other => panic!("{other:?}"),
        };
        let number = |value: i64| Some(SecValue::Integer(value));
        let n = r"a.n\.n";
        assert_eq!(terms(&range(n, number(2), number(1))), TermSet::points(Vec::new()));
        assert!(!terms(&range(n, number(2), number(2))).intervals().is_empty());
        assert!(terms(&range(n, None, None)).is_all());
        let mut open = range(n, number(2), number(2));
        if let SecPredicate::Range { hi_inclusive, .. } = &mut open {
            *hi_inclusive = false;
        }
        assert_eq!(terms(&open), TermSet::points(Vec::new()));
        let infinite = range(n, Some(SecValue::Numeric(f64::NEG_INFINITY)), number(0));
        let term = |value: SecValue| value.term(FieldType::Numeric).expect("a number");
        assert!(terms(&infinite).contains(&term(SecValue::Numeric(f64::MIN))));
        assert!(!terms(&infinite).contains(&term(SecValue::Numeric(5e-324))));
    }

    #[test]
    fn a_conjunction_stops_where_nothing_is_left() {
        let of = |field: usize| Filter::Leaf { field, terms: TermSet::all() };
        let filter = Filter::And(vec![Filter::Not(Box::new(of(2))), of(0), of(1)]);
        let mut asked = Vec::new();
        let rows = filter.rows(9, &mut |field, _| {
            asked.push(field);
            Ok(RoaringBitmap::new())
        });
        assert!(rows.expect("no error").is_empty());
        assert_eq!(asked, [0]);
    }
}
