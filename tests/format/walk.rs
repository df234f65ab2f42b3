//! Walks the files of a store by the document alone, and holds what it finds against the engine's
//! own decoders where they are public.

use std::collections::{BTreeMap, BTreeSet};

use quiver_store::file_names::{CURRENT, FileName};
use quiver_store::limits::SECTOR_SIZE_BYTES;
use quiver_store::manifest::Manifest;
use quiver_store::manifest::current::{CURRENT_MAGIC, CURRENT_SIZE_BYTES, Current};
use quiver_store::page::{PAGE_BODY_SIZE_BYTES, PAGE_HEADER_SIZE_BYTES, PAGE_MAGIC};
use quiver_store::wal::header::{LOG_HEADER_SIZE_BYTES, LOG_MAGIC, LogHeader};

use crate::document::{Document, Fields};
use crate::sample::Files;

/// What the walk knows so far.
pub(crate) struct Walk<'a> {
    document: &'a Document,
    files: &'a Files,
    manifest: Option<Manifest>,
    /// Files and kinds of frames and records that were met.
    seen: BTreeSet<String>,
}

impl<'a> Walk<'a> {
    pub(crate) fn new(document: &'a Document, files: &'a Files) -> Self {
        Self { document, files, manifest: None, seen: BTreeSet::new() }
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
        assert_eq!(current.number("checksum"), u64::from(crc32c::crc32c(&bytes[..60])));

        let name = FileName::Manifest(decoded.version, decoded.salt.into()).text();
        let pages = self.file(&name);
        assert_eq!(current.number("manifest length"), pages.len() as u64);
        let (body, digest) = self.stream(pages, "manifest", current.bytes("manifest salt"));
        assert_eq!(current.number("manifest digest"), u64::from(digest));
        let manifest = Manifest::decode(&body).expect("our own");
        self.check_manifest(&body, &manifest);
        self.manifest = Some(manifest);
    }

    fn check_manifest(&self, body: &[u8], manifest: &Manifest) {
        let mut rest = body;
        let head = self.document.take("manifest", &mut rest);
        assert_eq!(head.number("version"), manifest.version.value());
        assert_eq!(head.bytes("salt"), manifest.salt.0);
        assert_eq!(head.bytes("store id"), manifest.store.0);
        assert_eq!(head.number("required features"), 0);
        assert_eq!(head.number("sealed LSN"), manifest.sealed.value());
        assert_eq!(head.number("next file id"), manifest.next_file.value());
        assert_eq!(head.number("next collection id"), manifest.next_collection.value());
        assert_eq!(head.number("plain table count"), 6);
        let count = self.table("logs", &mut rest);
        assert_eq!(count, manifest.logs.len());
        for log in &manifest.logs {
            let entry = self.document.take("log entry", &mut rest);
            assert_eq!(entry.number("file id"), log.file.value());
            assert_eq!(entry.bytes("salt"), log.salt.0);
            assert_eq!(entry.number("base LSN"), log.base.value());
            assert_eq!(entry.number("durable LSN"), log.durable.value());
            assert_eq!(entry.number("has end"), u64::from(log.end.is_some()));
            let end = log.end.map_or((0, 0), |end| (end.lsn.value(), end.offset));
            assert_eq!((entry.number("end LSN"), entry.number("end offset")), end);
        }
        assert_eq!(self.table("segments", &mut rest), manifest.segments.len());
        for segment in &manifest.segments {
            let entry = self.document.take("segment entry", &mut rest);
            assert_eq!(entry.number("file id"), segment.file.value());
            assert_eq!(entry.number("collection id"), segment.collection.value());
            assert_eq!(entry.bytes("salt"), segment.salt.0);
            assert_eq!(entry.number("length"), segment.len);
            assert_eq!(entry.number("rows"), segment.rows);
            assert_eq!(entry.number("footer checksum"), u64::from(segment.footer));
        }
        assert_eq!(self.table("keys", &mut rest), 0);
        assert_eq!(self.table("tombstones", &mut rest), manifest.tombstones.len());
        for tombstones in &manifest.tombstones {
            let entry = self.document.take("tombstones entry", &mut rest);
            assert_eq!(entry.number("file id"), tombstones.file.value());
            assert_eq!(entry.number("segment file id"), tombstones.segment.value());
            assert_eq!(entry.bytes("salt"), tombstones.salt.0);
            assert_eq!(entry.number("length"), tombstones.len);
            assert_eq!(entry.number("dead rows"), tombstones.rows);
            assert_eq!(entry.number("digest"), u64::from(tombstones.digest));
        }
        self.check_index_snapshots(manifest, &mut rest);
        self.check_parked(manifest, &mut rest);
        let (sealed_tables, behind) = rest.split_at(4);
        assert_eq!(sealed_tables, 1u32.to_le_bytes());
        rest = behind;
        assert_eq!(self.table("collections", &mut rest), manifest.collections.len());
        for collection in &manifest.collections {
            let entry = self.document.take("collection entry", &mut rest);
            assert_eq!(entry.number("id"), collection.id.value());
            assert_eq!(entry.text("name"), collection.name);
            assert_eq!(entry.bytes("descriptor"), collection.descriptor.encode());
        }
        assert!(rest.is_empty(), "the document misses the end of the manifest");
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

    /// Every segment, column by column: they are small, so that all of it is tail and footer.
    pub(crate) fn segments(&mut self) {
        let manifest = self.manifest.clone().expect("the manifest is walked first");
        for segment in &manifest.segments {
            let name = FileName::Segment(segment.file, segment.salt.into()).text();
            let pages = self.file(&name);
            let (tail_pages, footer) = pages.split_at(pages.len() - 16_384);
            let (tail, digest) = self.stream(tail_pages, "segment tail", &segment.salt.0);
            let index = (tail_pages.len() / 16_384) as u64;
            let (body, checksum) = self.page(footer, "segment footer", &segment.salt.0, index);
            assert_eq!(checksum, segment.footer);
            let mut rest = body;
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
            let (bytes, digest) = self.stream(pages, "tombstones", &listed.salt.0);
            assert_eq!(digest, listed.digest);
            let mut rest = bytes.as_slice();
            let head = self.document.take("tombstones", &mut rest);
            let segment = manifest.segment(listed.segment).expect("checked by the manifest");
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
            let (bytes, digest) = self.stream(pages, "index snapshot", &listed.salt.0);
            assert_eq!((bytes.as_slice(), digest), (&b"graph"[..], listed.digest));
            let changes = listed.changes.expect("the sample has some");
            let name = FileName::Changes(changes.file, changes.salt.into()).text();
            let pages = self.file(&name);
            let (bytes, digest) = self.stream(pages, "changes", &changes.salt.0);
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
            let (bytes, digest) = self.stream(pages, "parked", &listed.salt.0);
            assert_eq!(digest, listed.digest);
            let mut rest = bytes.as_slice();
            assert_eq!(self.document.take("parked", &mut rest).number("section count"), 1);
            let section = self.document.take("parked section", &mut rest);
            assert_eq!(section.number("first LSN"), listed.through.value());
            assert_eq!(section.number("record count"), 1);
            let mut records = section.bytes("records");
            self.document.take("delete", &mut records);
            assert!(records.is_empty() && rest.is_empty(), "the document misses the end");
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
            assert_eq!(header.number("checksum"), u64::from(crc32c::crc32c(&bytes[..60])));
            LogHeader::decode(&bytes[..LOG_HEADER_SIZE_BYTES]).expect("our own");
            let mut at = LOG_HEADER_SIZE_BYTES;
            let mut end = (0, 0);
            while crate::document::number(&bytes[at..at + 4]) != 0 {
                let (behind, records) = self.frame(bytes, at, &log.salt.0, next);
                next += records;
                if records > 0 {
                    end = (next - 1, behind as u64);
                }
                let ends_group = self.document.cut("frame header", &bytes[at..]).number("flags");
                at = if ends_group == 1 {
                    let padded = behind.next_multiple_of(SECTOR_SIZE_BYTES);
                    assert!(bytes[behind..padded].iter().all(|byte| *byte == 0), "padding");
                    padded
                } else {
                    behind
                };
            }
            assert!(bytes[at..].iter().all(|byte| *byte == 0), "space allocated ahead");
            if let Some(listed) = log.end {
                assert_eq!((listed.lsn.value(), listed.offset), end);
            }
        }
    }

    /// One frame; where it ends and how many records it has.
    fn frame(&mut self, bytes: &[u8], at: usize, salt: &[u8], next: u64) -> (usize, u64) {
        let header = self.document.cut("frame header", &bytes[at..]);
        let behind = at + usize::try_from(header.number("length")).expect("small");
        let place = [salt, &(at as u64).to_le_bytes(), header.bytes("length")].concat();
        let checksum = crc32c::crc32c_append(crc32c::crc32c(&place), &bytes[at + 8..behind]);
        assert_eq!(header.number("checksum"), u64::from(checksum), "frame at {at}");
        assert_eq!(header.number("first LSN"), next, "frame at {at}");
        assert!(header.number("durable LSN") < next);
        self.saw("frame kinds", header.number("kind"));
        let mut rest = &bytes[at + self.document.layout_size("frame header")..behind];
        let mut records = 0;
        for _ in 0..header.number("section count") {
            let section = self.document.cut("section header", rest);
            rest = &rest[self.document.layout_size("section header")..];
            let len = usize::try_from(section.number("length")).expect("small");
            let (mut inside, after) = rest.split_at(len);
            for _ in 0..section.number("record count") {
                let kind = self.saw("record kinds", u64::from(inside[0]));
                self.document.take(&kind, &mut inside);
                records += 1;
            }
            assert!(inside.is_empty(), "the document misses the end of a section");
            rest = after;
        }
        assert!(rest.is_empty(), "the document misses the end of a frame");
        assert_eq!(records, header.number("record count"));
        (behind, records)
    }

    /// Every file was walked, every kind of frame and record was met.
    pub(crate) fn assert_all_seen(&self) {
        let files = self.files.keys().cloned();
        let kinds = ["frame kinds", "record kinds"].map(|table| self.document.numbers(table));
        let expected: BTreeSet<String> =
            files.chain(kinds.into_iter().flat_map(BTreeMap::into_keys)).collect();
        assert_eq!(self.seen, expected);
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
    fn stream(&self, pages: &[u8], page_type: &str, salt: &[u8]) -> (Vec<u8>, u32) {
        let (mut stream, mut checksums) = (Vec::new(), Vec::new());
        for (i, page) in pages.chunks(16_384).enumerate() {
            let (payload, checksum) = self.page(page, page_type, salt, i as u64);
            let is_last = (i + 1) * 16_384 == pages.len();
            assert!(is_last || payload.len() == PAGE_BODY_SIZE_BYTES, "a body is not full");
            stream.extend_from_slice(payload);
            checksums.extend_from_slice(&checksum.to_le_bytes());
        }
        (stream, crc32c::crc32c(&checksums))
    }

    /// The payload of a page and its checksum.
    fn page<'p>(&self, page: &'p [u8], kind: &str, salt: &[u8], index: u64) -> (&'p [u8], u32) {
        let header = self.document.cut("page header", page);
        assert_eq!(header.bytes("magic"), PAGE_MAGIC);
        assert_eq!(header.number("format version"), 1);
        assert_eq!(header.number("page type"), self.document.numbers("page types")[kind]);
        assert_eq!(header.number("codec"), self.document.numbers("codecs")["plain"]);
        assert_eq!(header.number("page index"), index);
        assert_eq!(header.bytes("store tag"), &self.files[CURRENT][8..16]);
        assert_eq!(header.bytes("salt"), salt);
        assert_eq!(header.bytes("tag"), [0; 16]);
        let mut zeroed = page.to_vec();
        zeroed[16..20].fill(0);
        let checksum = crc32c::crc32c(&zeroed);
        assert_eq!(header.number("checksum"), u64::from(checksum));
        let len = usize::try_from(header.number("payload length")).expect("small");
        let (payload, unused) = page[PAGE_HEADER_SIZE_BYTES..].split_at(len);
        assert!(unused.iter().all(|byte| *byte == 0), "the body behind the payload");
        (payload, checksum)
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
