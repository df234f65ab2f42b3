//! The meaning of predicates at every boundary, written out by hand.

use super::*;

fn fields() -> Vec<FilterableField> {
    vec![
        FilterableField::keyword("k"),
        FilterableField::numeric("n"),
        FilterableField::boolean("b"),
        FilterableField::numeric("o.p"),
        FilterableField::keyword(r"d\.o\\t"),
    ]
}

fn eq(field: &str, value: impl Into<SecValue>) -> SecPredicate {
    SecPredicate::Eq { field: field.to_owned(), value: value.into() }
}

fn exists(field: &str) -> SecPredicate {
    SecPredicate::Exists { field: field.to_owned() }
}

fn range(field: &str, lo: Option<SecValue>, hi: Option<SecValue>, inclusive: bool) -> SecPredicate {
    let (lo_inclusive, hi_inclusive) = (inclusive, inclusive);
    SecPredicate::Range { field: field.to_owned(), lo, hi, lo_inclusive, hi_inclusive }
}

fn on(payload: &str, predicate: &SecPredicate) -> bool {
    assert!(is_good(predicate, &fields()), "{predicate:?}");
    let found = holds(predicate, &fields(), payload.as_bytes());
    let not = SecPredicate::Not(Box::new(predicate.clone()));
    assert_eq!(holds(&not, &fields(), payload.as_bytes()), !found, "Not is the contrary");
    found
}

#[test]
fn numbers_are_equal_by_value_and_never_rounded() {
    let equal = |text: &str, value: SecValue| on(&format!("{{\"n\":{text}}}"), &eq("n", value));
    let two53 = 1_i64 << 53;
    for text in ["9007199254740992", "9007199254740992.0", "9.007199254740992e15"] {
        assert!(equal(text, two53.into()) && equal(text, (two53 as f64).into()));
        assert!(!equal(text, (two53 + 1).into()) && !equal(text, (two53 - 1).into()));
    }
    assert!(equal("9007199254740993", (two53 + 1).into()));
    assert!(!equal("9007199254740993", (two53 as f64).into()));
    assert!(equal("18446744073709551615", u64::MAX.into()));
    assert!(!equal("18446744073709551615", (u64::MAX as f64).into()));
    assert!(equal("18446744073709551616", (u64::MAX as f64).into()));
    assert!(equal("-9223372036854775808", i64::MIN.into()));
    assert!(equal("-9223372036854775808", (i64::MIN as f64).into()));
    assert!(!equal("-9223372036854775807", (i64::MIN as f64).into()));
    assert!(equal("-0.0", 0_i64.into()) && equal("0", (-0.0).into()) && equal("-0", 0_u64.into()));
    assert!(equal("5e-324", 5e-324.into()) && !equal("5e-324", 0_i64.into()));
    assert!(equal("2e-324", 0_i64.into()) && equal("3e-324", 5e-324.into()));
    assert!(!on("{\"n\":1e400}", &exists("n")));
}

#[test]
fn ranges_hold_between_their_bounds() {
    let both = [true, false];
    for inclusive in both {
        let one = Some(SecValue::from(1_i64));
        assert_eq!(on("{\"n\":1}", &range("n", one.clone(), None, inclusive)), inclusive);
        assert_eq!(on("{\"n\":1.0}", &range("n", None, one.clone(), inclusive)), inclusive);
        assert!(on("{\"n\":1.5}", &range("n", one.clone(), Some(2_i64.into()), inclusive)));
        assert!(!on("{\"n\":1.5}", &range("n", Some(2_i64.into()), one.clone(), inclusive)));
        let (below, above) = (f64::NEG_INFINITY, f64::INFINITY);
        assert!(on(
            "{\"n\":1e308}",
            &range("n", Some(below.into()), Some(above.into()), inclusive)
        ));
        assert!(!on("{\"k\":1}", &range("k", None, None, inclusive)));
        assert!(on("{\"k\":\"\"}", &range("k", None, None, inclusive)));
        assert_eq!(on("{\"k\":\"\"}", &range("k", Some("".into()), None, inclusive)), inclusive);
    }
    // Bytes, not code units: U+FFFF is below U+1F600.
    let from = range("k", Some("\u{ffff}".into()), None, false);
    assert!(on("{\"k\":\"\\ud83d\\ude00\"}", &from));
    let past = Some(SecValue::from((1_i64 << 53) as f64));
    assert!(on("{\"n\":9007199254740993}", &range("n", past.clone(), None, false)));
    assert!(!on("{\"n\":9007199254740993}", &range("n", None, past, true)));
}

#[test]
fn what_is_not_of_the_type_is_absent() {
    let absent = [
        "",
        "x",
        "[]",
        "null",
        "\"k\"",
        "{}",
        "{\"k\":null}",
        "{\"k\":1}",
        "{\"k\":true}",
        "{\"k\":{}}",
        "{\"k\":{\"k\":\"x\"}}",
        "{\"k\":[]}",
        "{\"k\":[[\"x\"]]}",
        "{\"k\":[null,1]}",
        "{\"K\":\"x\"}",
        "[{\"k\":\"x\"}]",
        "{\"k\":\"x\"",
        "{\"k\":\"x\"}}",
        "{\"k\":\"\\ud800\"}",
        "{\"k\":\"x\",\"k\":null}",
    ];
    for payload in absent {
        assert!(!on(payload, &exists("k")), "{payload}");
    }
    let present = [
        "{\"k\":\"\"}",
        " {\"k\" : [ 1, \"x\" ] } ",
        "{\"k\":1,\"k\":\"x\"}",
        "{\"\\u006b\":\"x\"}",
        "{\"k\":[[1],\"x\",{}]}",
        "{\"z\":1e400,\"k\":\"x\"}",
        "{\"z\":\"\\ud800\",\"k\":\"x\"}",
    ];
    for payload in present {
        assert!(on(payload, &exists("k")), "{payload}");
    }
    assert!(!holds(&exists("k"), &fields(), b"{\"k\":\"x\",\"z\":\"\xff\"}"));
}

#[test]
fn paths_lead_through_objects_only() {
    assert!(on("{\"o\":{\"p\":1}}", &exists("o.p")));
    assert!(on("{\"o\":{\"p\":[0,1]}}", &eq("o.p", 1_i64)));
    assert!(!on("{\"o\":[{\"p\":1}]}", &exists("o.p")));
    assert!(!on("{\"o.p\":1}", &exists("o.p")));
    assert!(!on("{\"o\":{\"p\":1},\"o\":{}}", &exists("o.p")));
    assert!(on("{\"d.o\\\\t\":\"x\"}", &exists(r"d\.o\\t")));
    assert!(!on("{\"d\":{\"o\\\\t\":\"x\"}}", &exists(r"d\.o\\t")));
}

#[test]
fn any_value_of_an_array_may_hold_each_part() {
    let payload = "{\"n\":[1,3],\"b\":[true,false]}";
    let all =
        SecPredicate::And(vec![eq("n", 1_i64), eq("n", 3_u64), eq("b", true), eq("b", false)]);
    assert!(on(payload, &all));
    let between = range("n", Some(2_i64.into()), Some(2.5.into()), true);
    assert!(!on(payload, &between), "one value must be within both bounds");
    assert!(!on(payload, &SecPredicate::In { field: "n".into(), values: Vec::new() }));
    assert!(on(
        payload,
        &SecPredicate::In { field: "n".into(), values: vec![7.0.into(), 3.0.into()] }
    ));
    assert!(on("", &SecPredicate::And(Vec::new())) && !on("", &SecPredicate::Or(Vec::new())));
}

#[test]
fn what_cannot_be_asked_is_refused() {
    let refused = [
        eq("k", 1_i64),
        eq("n", "1"),
        eq("b", 0_u64),
        eq("n", f64::NAN),
        eq("z", "x"),
        exists("o"),
        SecPredicate::In { field: "z".into(), values: Vec::new() },
        SecPredicate::In { field: "k".into(), values: vec!["x".into(), true.into()] },
        range("b", None, None, true),
        range("n", Some(1_i64.into()), Some("2".into()), true),
        SecPredicate::Or(vec![exists("k"), SecPredicate::Not(Box::new(exists("z")))]),
    ];
    for predicate in refused {
        assert!(!is_good(&predicate, &fields()), "{predicate:?}");
    }
    let mut deep = exists("k");
    for _ in 1..PREDICATE_DEPTH_MAX {
        deep = SecPredicate::Not(Box::new(deep));
    }
    assert!(is_good(&deep, &fields()));
    assert!(!is_good(&SecPredicate::Not(Box::new(deep)), &fields()));
}
