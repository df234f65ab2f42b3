//! The tables of the manifest by the document alone, held against the engine's own decoder.

use quiver_store::Descriptor;
use quiver_store::codec::FileKind;
use quiver_store::ids::CollectionId;
use quiver_store::manifest::Manifest;

use crate::seals::{Sealed, Sealer};
use crate::walk::Walk;

impl Walk<'_> {
    /// All tables of the manifest, and the tag at its end.
    pub(crate) fn check_manifest(&mut self, body: &[u8], manifest: &Manifest) {
        let mut rest = body;
        let head = self.document.take("manifest", &mut rest);
        assert_eq!(head.number("version"), manifest.version.value());
        assert_eq!(head.bytes("salt"), manifest.salt.0);
        assert_eq!(head.bytes("store id"), manifest.store.0);
        assert_eq!(head.number("required features"), u64::from(!self.seals.is_plain()));
        assert_eq!(head.number("sealed LSN"), manifest.sealed.value());
        assert_eq!(head.number("next file id"), manifest.next_file.value());
        assert_eq!(head.number("next collection id"), manifest.next_collection.value());
        assert_eq!(head.number("plain table count"), 6);
        self.check_logs(manifest, &mut rest);
        self.check_segments(manifest, &mut rest);
        self.check_keys(manifest, &mut rest);
        self.check_tombstones(manifest, &mut rest);
        self.check_index_snapshots(manifest, &mut rest);
        self.check_parked(manifest, &mut rest);
        let (sealed_tables, behind) = rest.split_at(4);
        assert_eq!(sealed_tables, 1u32.to_le_bytes());
        rest = behind;
        self.check_collections(manifest, &mut rest);
        let (associated, tag) = body.split_at(body.len() - 16);
        let end = self.document.take("manifest end", &mut rest);
        assert!(rest.is_empty(), "the document misses the end of the manifest");
        assert_eq!(end.number("codec"), self.document.numbers("codecs")[self.seals.codec()]);
        assert_eq!(end.bytes("tag"), tag);
        let place = self.place(FileKind::Manifest, CollectionId(0), manifest.salt, 0);
        self.open(Sealer::Catalog, &Sealed { place, associated, body: &[], tag });
    }

    fn check_logs(&self, manifest: &Manifest, rest: &mut &[u8]) {
        let count = self.table("logs", rest);
        assert_eq!(count, manifest.logs.len());
        for log in &manifest.logs {
            let entry = self.document.take("log entry", rest);
            assert_eq!(entry.number("file id"), log.file.value());
            assert_eq!(entry.bytes("salt"), log.salt.0);
            assert_eq!(entry.number("base LSN"), log.base.value());
            assert_eq!(entry.number("durable LSN"), log.durable.value());
            assert_eq!(entry.number("has end"), u64::from(log.end.is_some()));
            let end = log.end.map_or((0, 0), |end| (end.lsn.value(), end.offset));
            assert_eq!((entry.number("end LSN"), entry.number("end offset")), end);
        }
    }

    fn check_segments(&self, manifest: &Manifest, rest: &mut &[u8]) {
        assert_eq!(self.table("segments", rest), manifest.segments.len());
        for segment in &manifest.segments {
            let entry = self.document.take("segment entry", rest);
            assert_eq!(entry.number("file id"), segment.file.value());
            assert_eq!(entry.number("collection id"), segment.collection.value());
            assert_eq!(entry.bytes("salt"), segment.salt.0);
            assert_eq!(entry.number("length"), segment.len);
            assert_eq!(entry.number("rows"), segment.rows);
            assert_eq!(entry.number("footer checksum"), u64::from(segment.footer));
        }
    }

    /// Each key is read out of its file.
    fn check_keys(&mut self, manifest: &Manifest, rest: &mut &[u8]) {
        assert_eq!(self.table("keys", rest), manifest.keys.len());
        for key in &manifest.keys {
            let entry = self.document.take("key entry", rest);
            assert_eq!(entry.number("collection id"), key.collection.value());
            assert_eq!(entry.bytes("key id"), key.key.0);
            self.key_file(key.collection, key.key);
        }
    }

    fn check_tombstones(&self, manifest: &Manifest, rest: &mut &[u8]) {
        assert_eq!(self.table("tombstones", rest), manifest.tombstones.len());
        for tombstones in &manifest.tombstones {
            let entry = self.document.take("tombstones entry", rest);
            assert_eq!(entry.number("file id"), tombstones.file.value());
            assert_eq!(entry.number("segment file id"), tombstones.segment.value());
            assert_eq!(entry.bytes("salt"), tombstones.salt.0);
            assert_eq!(entry.number("length"), tombstones.len);
            assert_eq!(entry.number("dead rows"), tombstones.rows);
            assert_eq!(entry.number("digest"), u64::from(tombstones.digest));
        }
    }

    fn check_index_snapshots(&self, manifest: &Manifest, rest: &mut &[u8]) {
        assert_eq!(self.table("index snapshots", rest), manifest.index_snapshots.len());
        for snapshot in &manifest.index_snapshots {
            let entry = self.document.take("index snapshot entry", rest);
            assert_eq!(entry.number("collection id"), snapshot.collection.value());
            assert_eq!(entry.number("file id"), snapshot.file.value());
            assert_eq!(entry.bytes("salt"), snapshot.salt.0);
            assert_eq!(entry.number("length"), snapshot.len);
            assert_eq!(entry.number("digest"), u64::from(snapshot.digest));
            assert_eq!(entry.number("covered LSN"), snapshot.covered.value());
            assert_eq!(entry.number("listed since LSN"), snapshot.listed_since.value());
            let changes = snapshot.changes.expect("the sample has some");
            assert_eq!(entry.number("changes file id"), changes.file.value());
            assert_eq!(entry.bytes("changes salt"), changes.salt.0);
            assert_eq!(entry.number("changes length"), changes.len);
            assert_eq!(entry.number("changes digest"), u64::from(changes.digest));
        }
    }

    fn check_parked(&self, manifest: &Manifest, rest: &mut &[u8]) {
        assert_eq!(self.table("parked", rest), manifest.parked.len());
        for parked in &manifest.parked {
            let entry = self.document.take("parked entry", rest);
            assert_eq!(entry.number("collection id"), parked.collection.value());
            assert_eq!(entry.number("file id"), parked.file.value());
            assert_eq!(entry.bytes("salt"), parked.salt.0);
            assert_eq!(entry.number("length"), parked.len);
            assert_eq!(entry.number("digest"), u64::from(parked.digest));
            assert_eq!(entry.number("first LSN"), parked.first.value());
            assert_eq!(entry.number("last LSN"), parked.through.value());
        }
    }

    fn table(&self, name: &str, rest: &mut &[u8]) -> usize {
        let header = self.document.take("table header", rest);
        assert_eq!(header.number("tag"), self.document.numbers("tables")[name], "{name}");
        usize::try_from(header.number("entry count")).expect("small")
    }

    fn check_collections(&self, manifest: &Manifest, rest: &mut &[u8]) {
        assert_eq!(self.table("collections", rest), manifest.collections.len());
        for collection in &manifest.collections {
            let entry = self.document.take("collection entry", rest);
            assert_eq!(entry.number("id"), collection.id.value());
            assert_eq!(entry.bytes("salt"), collection.schema.salt.0);
            assert_eq!(entry.bytes("tag"), collection.schema.tag);
            assert_eq!(entry.bytes("schema"), collection.schema.bytes);
            let place = self.place(FileKind::Schema, collection.id, collection.schema.salt, 0);
            let (body, tag) = (entry.bytes("schema"), entry.bytes("tag"));
            let sealed = Sealed { place, associated: &[], body, tag };
            let opened = self.open(self.sealer_of(collection.id), &sealed);
            let mut fields = opened.as_slice();
            let schema = self.document.take("schema", &mut fields);
            assert!(fields.is_empty(), "the document misses the end of a schema");
            assert_eq!(schema.text("name"), "fruit");
            let descriptor = Descriptor::decode(schema.bytes("descriptor")).expect("our own");
            assert_eq!(descriptor.encode(), schema.bytes("descriptor"));
        }
    }
}
