//! What an answer of unknown outcome leaves, and what ends it.

use quiver_store::{DistanceMetric, Dtype};

use super::*;

fn create(name: &str) -> Request {
    Request::Create {
        name: Arc::from(name),
        descriptor: Descriptor::new(1, Dtype::F32, DistanceMetric::L2),
    }
}

fn created(id: u64, lsn: u64) -> Result<Outcome, ErrorKind> {
    Ok(Outcome::Created { id: CollectionId(id), lsn: Some(Lsn(lsn)) })
}

/// Settles one request; the complaints.
fn settle(model: &mut Model, request: Request, answer: Result<Outcome, ErrorKind>) -> Vec<String> {
    model.settle(&[Answered { request, answer }]).1
}

/// A model with one collection, and one more of unknown outcome.
fn in_limbo() -> Model {
    let mut model = Model::default();
    assert_eq!(settle(&mut model, create("a"), created(1, 1)), [""; 0]);
    assert_eq!(settle(&mut model, create("b"), Err(ErrorKind::Unknown)), [""; 0]);
    assert!(model.in_limbo());
    model
}

#[test]
fn answers_that_change_nothing_void_what_was_in_limbo() {
    let decided = [
        (create("a"), Err(ErrorKind::AlreadyExists)),
        (Request::Drop { name: "c".into() }, Ok(Outcome::Dropped { existed: false, lsn: None })),
    ];
    for (request, answer) in decided {
        let mut model = in_limbo();
        // A crash during the call may still bring it back.
        let (window, complaints) = model.settle(&[Answered { request, answer }]);
        assert_eq!((window.states.len() > 1, complaints), (true, Vec::new()));
        assert!(!model.in_limbo());
    }
    let mut model = in_limbo();
    assert_eq!(settle(&mut model, create("c"), Err(ErrorKind::Full)), [""; 0]);
    assert!(model.in_limbo(), "nothing was decided");
}

#[test]
fn id_of_an_unknown_creation_is_given_again_by_another_process_only() {
    let mut model = in_limbo();
    assert_eq!(settle(&mut model, create("b"), created(2, 2)).len(), 1, "it may be that of b");
    let mut model = in_limbo();
    assert_eq!(settle(&mut model, create("b"), created(3, 2)), [""; 0]);
    let mut model = in_limbo();
    let seen = State::clone(model.committed());
    model.adopt(&seen, &BTreeMap::new());
    assert_eq!(settle(&mut model, create("b"), created(2, 2)), [""; 0]);
}
