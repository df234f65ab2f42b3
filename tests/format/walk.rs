//! Walks the files of a store by the document alone, and holds what it finds against the engine's
//! own decoders where they are public.

use std::collections::{BTreeMap, BTreeSet};

use quiver_store::codec::{FileKind, Place};
use quiver_store::file_names::{CURRENT, FileName};
use quiver_store::ids::{CollectionId, KeyId, Salt};
use quiver_store::limits::SECTOR_SIZE_BYTES;
use quiver_store::manifest::Manifest;
use quiver_store::manifest::current::{CURRENT_MAGIC, CURRENT_SIZE_BYTES, Current};
use quiver_store::page::{PAGE_BODY_SIZE_BYTES, PAGE_HEADER_SIZE_BYTES, PAGE_MAGIC};
use quiver_store::wal::header::{LOG_HEADER_SIZE_BYTES, LOG_MAGIC, LogHeader};

use crate::checksum::{crc32c, crc32c_append};
use crate::document::{Document, Fields};
use crate::sample::Files;
use crate::seals::{Sealed, Sealer, Seals};

/// What the walk knows so far.
pub(crate) struct Walk<'a> {
    pub(crate) document: &'a Document,
    files: &'a Files,
    pub(crate) seals: Seals,
    manifest: Option<Manifest>,
    /// Files and kinds of frames and records that were met.
    seen: BTreeSet<String>,
    /// How many sections were carried.
    carried: usize,
}

/// A section that was opened.
struct Section {
    collection: CollectionId,
    count: u64,
    records: Vec<u8>,
    /// Where the sealed records start.
    records_at: usize,
    /// Where they end.
    end: usize,
}

impl<'a> Walk<'a> {
    pub(crate) fn new(document: &'a Document, files: &'a Files, seals: Seals) -> Self {
        Self { document, files, seals, manifest: None, seen: BTreeSet::new(), carried: 0 }
    }

    /// `CURRENT` and the manifest, table by table.
    pub(crate) fn manifest(&mut self) {
        let bytes = self.file(CURRENT);
        assert_eq!(bytes.len(), CURRENT_SIZE_BYTES);
        let current = self.document.cut("CURRENT", bytes);
        let decoded = Current::decode(bytes).expect("our own");
        assert_eq!(current.bytes("magic"), CURRENT_MAGIC);
        assert_eq!(current.number("format version"), 1);
        assert_eq!(current.bytes("store id"), decoded.store.0);
        assert_eq!(current.number("manifest version"), decoded.version.value());
        assert_eq!(current.bytes("manifest salt"), decoded.salt.0);
        assert_eq!(current.number("checksum"), u64::from(crc32c(&bytes[..60])));

        let name = FileName::Manifest(decoded.version, decoded.salt.into()).text();
        let pages = self.file(&name);
        assert_eq!(current.number("manifest length"), pages.len() as u64);
        let (body, digest) = self.stream(pages, "manifest", decoded.salt, 0);
        assert_eq!(current.number("manifest digest"), u64::from(digest));
        let manifest = Manifest::decode(&body).expect("our own");
        self.manifest = Some(manifest.clone());
        self.check_manifest(&body, &manifest);
    }

    /// Reads a key out of its file, once.
    pub(crate) fn key_file(&mut self, collection: CollectionId, id: KeyId) {
        #[cfg(feature = "encryption")]
        {
            let bytes = self.file(&FileName::Key(id).text());
            let size = self.document.numbers("constants")["KEY_FILE_SIZE_BYTES"];
            assert_eq!(bytes.len() as u64, size);
            let fields = self.document.cut("key file", bytes);
            assert_eq!(fields.bytes("magic"), quiver_store::key_file::KEY_FILE_MAGIC);
            assert_eq!(fields.number("format version"), 1);
            assert_eq!(fields.number("codec"), self.document.numbers("codecs")["AES-256-GCM"]);
            assert_eq!(fields.bytes("store id"), self.current().store.0);
            assert_eq!(fields.bytes("key id"), id.0);
            assert_eq!(fields.number("collection id"), collection.value());
            assert_eq!(fields.number("checksum"), u64::from(crc32c(&bytes[..96])));
            let place = self.place(FileKind::Key, collection, Salt(id.0), 0);
            let sealer = if collection.value() == 0 { Sealer::Master } else { Sealer::Store };
            let (body, tag) = (fields.bytes("key"), fields.bytes("tag"));
            let key = self.open(sealer, &Sealed { place, associated: &bytes[..48], body, tag });
            let Seals::Keys(keys) = &mut self.seals else { panic!("a plain store has a key") };
            keys.add(id, &place, key.try_into().expect("32 bytes"));
        }
        #[cfg(not(feature = "encryption"))]
        panic!("collection {collection} has a key: {id}");
    }

    fn current(&self) -> Current {
        Current::decode(&self.files[CURRENT]).expect("our own")
    }

    pub(crate) fn place(
        &self,
        kind: FileKind,
        collection: CollectionId,
        salt: Salt,
        position: u64,
    ) -> Place {
        let (store, listed) = (self.current().store, self.document.numbers("file kinds"));
        assert!(listed.values().any(|number| *number == kind as u64), "{kind:?} is not listed");
        Place { store, salt, kind, collection, position }
    }

    pub(crate) fn open(&self, sealer: Sealer, sealed: &Sealed<'_>) -> Vec<u8> {
        self.seals.open(self.document, sealer, sealed)
    }

    /// What seals a collection that the manifest names.
    pub(crate) fn sealer_of(&self, collection: CollectionId) -> Sealer {
        let manifest = self.manifest.as_ref().expect("the manifest is walked first");
        Sealer::Data(manifest.key(collection).0)
    }

    /// Every segment, column by column: they are small, so that all of it is tail and footer.
    pub(crate) fn segments(&mut self) {
        let manifest = self.manifest.clone().expect("the manifest is walked first");
        for segment in &manifest.segments {
            let name = FileName::Segment(segment.file, segment.salt.into()).text();
            let pages = self.file(&name);
            let (tail_pages, footer) = pages.split_at(pages.len() - 16_384);
            let collection = segment.collection.value();
            let (tail, digest) = self.stream(tail_pages, "segment tail", segment.salt, collection);
            let index = (tail_pages.len() / 16_384) as u64;
            let (body, checksum) =
                self.page(footer, "segment footer", segment.salt, index, collection);
            assert_eq!(checksum, segment.footer);
            let mut rest = body.as_slice();
            let footer = self.document.take("segment footer", &mut rest);
            assert!(rest.is_empty(), "the document misses the end of the footer");
            assert_eq!(footer.number("rows"), segment.rows);
            assert_eq!(footer.number("digest"), u64::from(digest));
            assert_eq!(footer.number("tail length"), tail.len() as u64);
            let mut rest = tail.as_slice();
            let mut column = |name: &str| {
                let len = footer.number(&format!("{name} length"));
                let (column, behind) = rest.split_at(usize::try_from(len).expect("small"));
                rest = behind;
                column
            };
            let (ids, directory) = (column("ids"), column("directory"));
            let (vectors, payloads, filter) =
                (column("vectors"), column("payloads"), column("filter"));
            assert_eq!(vectors.len() as u64, segment.rows * footer.number("stride"));
            assert!(filter.len().is_multiple_of(64) && !filter.is_empty());
            self.index(column("indexes"));
            // One id page has one fence, which is empty, and starts with row 0; there are no extents.
            assert_eq!(rest, [0; 8]);
            assert_eq!(self.id_page(ids), ["apple", "kiwi", "lime", "pear"]);
            let mut rest = directory;
            let mut end = 0;
            while !rest.is_empty() {
                let entry = self.document.take("directory entry", &mut rest);
                assert_eq!(entry.number("payload start"), end);
                end += entry.number("payload length");
            }
            assert_eq!(end, payloads.len() as u64);
        }
    }

    /// Every file of tombstones.
    pub(crate) fn tombstones(&mut self) {
        let manifest = self.manifest.clone().expect("the manifest is walked first");
        assert_eq!(manifest.tombstones.len(), 1);
        for listed in &manifest.tombstones {
            let name = FileName::Tombstones(listed.file, listed.salt.into()).text();
            let pages = self.file(&name);
            let segment = manifest.segment(listed.segment).expect("checked by the manifest");
            let collection = segment.collection.value();
            let (bytes, digest) = self.stream(pages, "tombstones", listed.salt, collection);
            assert_eq!(digest, listed.digest);
            let mut rest = bytes.as_slice();
            let head = self.document.take("tombstones", &mut rest);
            assert_eq!(head.number("segment file id"), segment.file.value());
            assert_eq!(head.bytes("segment salt"), segment.salt.0);
            assert_eq!(head.number("segment rows"), segment.rows);
            assert_eq!(head.number("dead rows"), listed.rows);
            // One container, an array of one value below 65,536: 1, the number of the row.
            let cookie = [0x3a, 0x30, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 16, 0, 0, 0, 1, 0];
            assert_eq!(rest, cookie);
        }
    }

    /// Every index snapshot, and what changed since.
    pub(crate) fn index_snapshots(&mut self) {
        let manifest = self.manifest.clone().expect("the manifest is walked first");
        assert_eq!(manifest.index_snapshots.len(), 1);
        for listed in &manifest.index_snapshots {
            let name = FileName::IndexSnapshot(listed.file, listed.salt.into()).text();
            let pages = self.file(&name);
            let collection = listed.collection.value();
            let (bytes, digest) = self.stream(pages, "index snapshot", listed.salt, collection);
            assert_eq!((bytes.as_slice(), digest), (&b"graph"[..], listed.digest));
            let changes = listed.changes.expect("the sample has some");
            let name = FileName::Changes(changes.file, changes.salt.into()).text();
            let pages = self.file(&name);
            let (bytes, digest) = self.stream(pages, "changes", changes.salt, collection);
            assert_eq!(digest, changes.digest);
            let mut rest = bytes.as_slice();
            assert_eq!(self.document.take("changes", &mut rest).number("generation count"), 1);
            let generation = self.document.take("generation", &mut rest);
            assert_eq!(generation.number("through LSN"), listed.covered.value() + 1);
            assert_eq!(generation.number("id count"), 1);
            assert_eq!(rest, b"\x04\0kiwi");
        }
    }

    /// Every file of parked records.
    pub(crate) fn parked(&mut self) {
        let manifest = self.manifest.clone().expect("the manifest is walked first");
        assert_eq!(manifest.parked.len(), 1);
        for listed in &manifest.parked {
            let name = FileName::Parked(listed.file, listed.salt.into()).text();
            let pages = self.file(&name);
            let collection = listed.collection;
            let (bytes, digest) = self.stream(pages, "parked", listed.salt, collection.value());
            assert_eq!(digest, listed.digest);
            let mut rest = bytes.as_slice();
            assert_eq!(self.document.take("parked", &mut rest).number("section count"), 1);
            let section = self.document.take("parked section", &mut rest);
            assert_eq!(section.number("first LSN"), listed.through.value());
            let at = bytes.len() - rest.len();
            let section = self.section(&bytes, at, FileKind::Log, listed.salt);
            assert_eq!((section.collection, section.count), (collection, 1));
            let mut records = section.records.as_slice();
            self.document.take("delete", &mut records);
            assert!(records.is_empty(), "the document misses the end of a section");
            assert_eq!(section.end, bytes.len(), "the document misses the end of parked records");
        }
    }

    /// The column of indexes: one field, which one row has.
    fn index(&self, column: &[u8]) {
        let (before, len) = column.split_at(column.len() - 4);
        let len = usize::try_from(crate::document::number(len)).expect("small");
        let (index, mut rest) = before.split_at(before.len() - len);
        assert_eq!(self.document.take("index directory", &mut rest).number("field count"), 1);
        let (field, behind) = rest.split_at(6);
        assert_eq!(field, [3, 3, 0, b'r', b'e', b'd']);
        rest = behind;
        assert_eq!(self.document.take("index parts", &mut rest).number("part count"), 1);
        let part = [4_u32.to_le_bytes().to_vec(), (index.len() as u64).to_le_bytes().to_vec()];
        assert_eq!(rest, part.concat(), "four rows");
        // A node of level 0 with one entry: nothing shared, one byte, `true`; row 0.
        let node = [0, 1, 0, 0, 0, 0, 1, 1, 1];
        let (found, rest) = index.split_at(node.len());
        assert_eq!(found, node);
        let (present, mut footer) = rest.split_at(rest.len() - 48);
        let footer_fields = self.document.take("index footer", &mut footer);
        assert!(footer.is_empty(), "the document misses the end of an index");
        assert_eq!(footer_fields.bytes("magic"), b"QVSX");
        assert_eq!(footer_fields.number("field type"), 3);
        assert_eq!((footer_fields.number("levels"), footer_fields.number("rows")), (1, 4));
        assert_eq!(footer_fields.number("present length"), present.len() as u64);
        assert_eq!(footer_fields.number("root offset"), 0);
        assert_eq!(footer_fields.number("root length"), node.len() as u64);
        assert_eq!(footer_fields.number("present offset"), node.len() as u64);
        assert_eq!(footer_fields.number("terms"), 1);
    }

    fn id_page(&self, bytes: &[u8]) -> Vec<String> {
        let mut entries = bytes;
        let head = self.document.take("id page", &mut entries);
        assert_eq!(head.number("first row"), 0);
        assert_eq!(head.number("prefix"), 0);
        let (mut ids, mut before) = (Vec::new(), Vec::new());
        for _ in 0..head.number("ids") {
            let [shared, len] = [entries[0], entries[1]].map(usize::from);
            before.truncate(shared);
            before.extend_from_slice(&entries[2..2 + len]);
            ids.push(String::from_utf8(before.clone()).expect("ids are UTF-8"));
            entries = &entries[2 + len..];
        }
        let end = bytes.len() - entries.len();
        assert_eq!(head.number("entries end"), end as u64);
        assert_eq!(entries, *b"appl\x0a\0", "the first entry has a head and is stored whole");
        ids
    }

    /// Every log, frame by frame.
    pub(crate) fn logs(&mut self) {
        let manifest = self.manifest.clone().expect("the manifest is walked first");
        let mut next = manifest.sealed.value() + 1;
        for log in &manifest.logs {
            let name = FileName::Log(log.file, log.salt.into()).text();
            let bytes = self.file(&name);
            let header = self.document.cut("log header", bytes);
            assert_eq!(header.bytes("magic"), LOG_MAGIC);
            assert_eq!(header.bytes("store id"), manifest.store.0);
            assert_eq!(header.number("file id"), log.file.value());
            assert_eq!(header.bytes("salt"), log.salt.0);
            assert_eq!(header.number("base LSN"), next);
            assert_eq!(header.number("checksum"), u64::from(crc32c(&bytes[..60])));
            LogHeader::decode(&bytes[..LOG_HEADER_SIZE_BYTES]).expect("our own");
            let mut at = LOG_HEADER_SIZE_BYTES;
            let mut end = (0, 0);
            while crate::document::number(&bytes[at..at + 4]) != 0 {
                let header = self.document.cut("frame header", &bytes[at..]);
                let is_behind_end = log.end.is_some_and(|listed| next > listed.lsn.value());
                if is_behind_end && header.number("record count") > 0 {
                    break;
                }
                let (behind, records) = self.frame(bytes, at, log.salt, next);
                next += records;
                if records > 0 {
                    end = (next - 1, behind as u64);
                }
                at = if header.number("flags") == 1 {
                    let padded = behind.next_multiple_of(SECTOR_SIZE_BYTES);
                    assert!(bytes[behind..padded].iter().all(|byte| *byte == 0), "padding");
                    padded
                } else {
                    behind
                };
            }
            if let Some(listed) = log.end {
                assert_eq!((listed.lsn.value(), listed.offset), end);
            } else {
                assert!(bytes[at..].iter().all(|byte| *byte == 0), "space allocated ahead");
            }
        }
    }

    /// One frame; where it ends and how many records it has.
    fn frame(&mut self, bytes: &[u8], at: usize, salt: Salt, next: u64) -> (usize, u64) {
        let header = self.document.cut("frame header", &bytes[at..]);
        let behind = at + usize::try_from(header.number("length")).expect("small");
        let place = [&salt.0[..], &(at as u64).to_le_bytes(), header.bytes("length")].concat();
        let place = crc32c(&place);
        let checksum = |end: usize| u64::from(crc32c_append(place, &bytes[at + 8..end]));
        assert_eq!(header.number("checksum"), checksum(behind), "frame at {at}");
        assert_eq!(header.number("header checksum"), checksum(at + 36), "frame at {at}");
        assert_eq!(header.number("first LSN"), next, "frame at {at}");
        assert!(header.number("durable LSN") < next);
        self.saw("frame kinds", header.number("kind"));
        let mut bound = [header.bytes("length"), &bytes[at + 8..at + 36]].concat();
        let mut rest = at + self.document.layout_size("frame header");
        let mut records = 0;
        for _ in 0..header.number("section count") {
            let section = self.section(bytes, rest, FileKind::Log, salt);
            let mut inside = section.records.as_slice();
            for _ in 0..section.count {
                let kind = self.saw("record kinds", u64::from(inside[0]));
                let of_catalog = ["drop collection", "shred collection"].contains(&&*kind);
                assert_eq!(of_catalog, section.collection == CollectionId(0), "{kind}");
                self.document.take(&kind, &mut inside);
                records += 1;
            }
            assert!(inside.is_empty(), "the document misses the end of a section");
            bound.extend_from_slice(&bytes[rest..section.records_at]);
            rest = section.end;
        }
        assert_eq!(rest, behind, "the document misses the end of a frame");
        assert_eq!(records, header.number("record count"));
        let place = self.place(FileKind::Log, CollectionId(0), salt, at as u64);
        let tag = header.bytes("tag");
        self.open(Sealer::Catalog, &Sealed { place, associated: &bound, body: &[], tag });
        (behind, records)
    }

    /// The section at an offset of a log or of parked records.
    fn section(&mut self, bytes: &[u8], at: usize, kind: FileKind, salt: Salt) -> Section {
        let header = self.document.cut("section header", &bytes[at..]);
        let mut records_at = at + self.document.layout_size("section header");
        let collection = CollectionId(header.number("collection id"));
        let key = KeyId(header.bytes("key id").try_into().expect("16 bytes"));
        assert_eq!(header.number("codec"), self.document.numbers("codecs")[self.seals.codec()]);
        let (mut place, flags) =
            (self.place(kind, collection, salt, at as u64), header.number("flags"));
        let mut associated = bytes[at..at + 40].to_vec();
        if flags == 1 {
            let origin = self.document.cut("origin", &bytes[records_at..]);
            records_at += self.document.layout_size("origin");
            let salt = Salt(origin.bytes("salt").try_into().expect("16 bytes"));
            place = self.place(FileKind::Log, collection, salt, origin.number("offset"));
            associated[17] = 0;
            self.carried += 1;
        } else {
            assert_eq!(flags, 0);
        }
        let has_key = !self.seals.is_plain() && collection != CollectionId(0);
        assert_eq!(has_key, key != KeyId::NONE, "key of collection {collection}");
        if has_key && !self.seals.knows(key) {
            self.key_file(collection, key);
        }
        let end = records_at + usize::try_from(header.number("length")).expect("small");
        let (body, tag) = (&bytes[records_at..end], header.bytes("tag"));
        let sealer = if has_key { Sealer::Data(key.0) } else { Sealer::Catalog };
        let sealed = Sealed { place, associated: &associated, body, tag };
        let (records, count) = (self.open(sealer, &sealed), header.number("record count"));
        Section { collection, count, records, records_at, end }
    }

    /// Every file was walked, every kind of frame and record was met that there is in such a store.
    pub(crate) fn assert_all_seen(&self) {
        let files = self.files.keys().cloned();
        let kinds = ["frame kinds", "record kinds"].map(|table| self.document.numbers(table));
        let mut expected: BTreeSet<String> =
            files.chain(kinds.into_iter().flat_map(BTreeMap::into_keys)).collect();
        if self.seals.is_plain() {
            expected.remove("shred collection");
        }
        assert_eq!(self.seen, expected);
        assert_eq!(self.carried > 0, !self.seals.is_plain(), "carried sections");
    }

    /// The fields of `CURRENT`.
    pub(crate) fn current_example(&mut self) -> String {
        let bytes = self.file(CURRENT);
        self.document.cut("CURRENT", bytes).dump(0)
    }

    /// The fields of the first frame of the oldest log.
    pub(crate) fn frame_example(&mut self) -> String {
        let log = self.manifest.as_ref().expect("the manifest is walked first").logs[0];
        let bytes = self.file(&FileName::Log(log.file, log.salt.into()).text());
        let mut at = LOG_HEADER_SIZE_BYTES;
        let header = self.document.cut("frame header", &bytes[at..]);
        let mut out = header.dump(at);
        at += self.document.layout_size("frame header");
        out += &self.document.cut("section header", &bytes[at..]).dump(at);
        at += self.document.layout_size("section header");
        let mut rest = &bytes[at..];
        let record: Fields<'_> = self.document.take("create collection", &mut rest);
        out + &record.dump(at)
    }

    /// The byte string over the bodies of pages, and the digest of the pages.
    fn stream(&self, pages: &[u8], kind: &str, salt: Salt, collection: u64) -> (Vec<u8>, u32) {
        let (mut stream, mut checksums) = (Vec::new(), Vec::new());
        for (i, page) in pages.chunks(16_384).enumerate() {
            let (payload, checksum) = self.page(page, kind, salt, i as u64, collection);
            let is_last = (i + 1) * 16_384 == pages.len();
            assert!(is_last || payload.len() == PAGE_BODY_SIZE_BYTES, "a body is not full");
            stream.extend_from_slice(&payload);
            checksums.extend_from_slice(&checksum.to_le_bytes());
        }
        (stream, crc32c(&checksums))
    }

    /// The payload of a page and its checksum.
    fn page(
        &self,
        page: &[u8],
        kind: &str,
        salt: Salt,
        index: u64,
        collection: u64,
    ) -> (Vec<u8>, u32) {
        let is_plain = kind == "manifest" || self.seals.is_plain();
        let codec = if is_plain { "plain" } else { self.seals.codec() };
        let header = self.document.cut("page header", page);
        assert_eq!(header.bytes("magic"), PAGE_MAGIC);
        assert_eq!(header.number("format version"), 1);
        assert_eq!(header.number("page type"), self.document.numbers("page types")[kind]);
        assert_eq!(header.number("codec"), self.document.numbers("codecs")[codec]);
        assert_eq!(header.number("page index"), index);
        assert_eq!(header.bytes("store tag"), &self.files[CURRENT][8..16]);
        assert_eq!(header.bytes("salt"), salt.0);
        let mut zeroed = page.to_vec();
        zeroed[16..20].fill(0);
        let checksum = crc32c(&zeroed);
        assert_eq!(header.number("checksum"), u64::from(checksum));
        let file = match kind {
            "segment tail" | "segment footer" => FileKind::Segment,
            "tombstones" => FileKind::Tombstones,
            "index snapshot" => FileKind::IndexSnapshot,
            "changes" => FileKind::Changes,
            "parked" => FileKind::Parked,
            _ => FileKind::Manifest,
        };
        let collection = CollectionId(collection);
        let place = self.place(file, collection, salt, index);
        let (body, tag) = (&page[PAGE_HEADER_SIZE_BYTES..], header.bytes("tag"));
        let sealed = Sealed { place, associated: &zeroed[..48], body, tag };
        let opened = match kind {
            "manifest" => Seals::Plain.open(self.document, Sealer::Catalog, &sealed),
            "parked" => self.open(Sealer::Catalog, &sealed),
            _ => self.open(self.sealer_of(collection), &sealed),
        };
        let len = usize::try_from(header.number("payload length")).expect("small");
        let (payload, unused) = opened.split_at(len);
        assert!(unused.iter().all(|byte| *byte == 0), "the body behind the payload");
        (payload.to_vec(), checksum)
    }

    fn file(&mut self, name: &str) -> &'a [u8] {
        self.seen.insert(name.to_owned());
        self.files.get(name).unwrap_or_else(|| panic!("no file {name}"))
    }

    /// The name of a stored number, which was met.
    fn saw(&mut self, table: &str, number: u64) -> String {
        let numbers = self.document.numbers(table);
        let found = numbers.into_iter().find(|(_, listed)| *listed == number);
        let (name, _) = found.unwrap_or_else(|| panic!("{table} misses {number}"));
        self.seen.insert(name.clone());
        name
    }
}
