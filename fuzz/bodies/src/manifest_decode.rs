//! Manifests and `CURRENT`: by themselves, and as a store that is opened.
//!
//! The input is `CURRENT`, of which the end may be missing; the content of a manifest; what a manifest
//! is made from; and the content of the manifest of a store.

use std::sync::{Arc, OnceLock};

use quiver_store::codec::PlainCodec;
use quiver_store::manifest::Manifest;
use quiver_store::{ErrorKind, Store};

use crate::template::{Template, options};
use crate::{headers, manifests, sections};

/// See the module.
pub(crate) fn body(input: &[u8]) {
    headers::current(input);
    manifests::content(input);
    if let Ok(manifest) = Manifest::decode(input) {
        opens_or_is_refused(&manifest, input);
    }
}

/// A store whose manifest names what is not there, or what is not what it says.
fn opens_or_is_refused(manifest: &Manifest, input: &[u8]) {
    static TEMPLATE: OnceLock<Template> = OnceLock::new();
    let template = TEMPLATE.get_or_init(|| Template::of(Arc::new(PlainCodec), sections::fill));
    let env = template.env_of_content(manifest, input, &[]);
    let check = |opened: quiver_store::Result<Store>| {
        let Err(error) = opened else { return };
        let text = error.to_string();
        assert!(text.len() >= 8, "{error:?} says nothing");
        // It may name keys that are not there, and files that are not.
        let expected = [ErrorKind::Corrupt, ErrorKind::Unsupported, ErrorKind::KeyUnavailable];
        assert!(expected.contains(&error.kind()), "{error:?}");
    };
    check(Store::open_read_only_with(env.clone(), options()));
    check(Store::open_salvage_with(env.clone(), options()).map(|(store, _)| store));
    check(Store::open_with(env, options()));
}
