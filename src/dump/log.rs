//! A log file: its header, and every frame with the records it carries.

use std::ops::ControlFlow;

use serde_json::{Value, json};

use crate::cursor::index;
use crate::dump::item::{See, first_bytes, hex, text_or_hex};
use crate::error::Result;
use crate::keys::Keys;
use crate::limits::SECTOR_SIZE_BYTES;
use crate::record::Record;
use crate::sync::Arc;
use crate::vfs::DiskFile;
use crate::wal::codecs::{LogCodecs, LogFileIdentity};
use crate::wal::frame::{self, FRAME_HEADER_SIZE_BYTES, FrameHeader, FrameKind, Section};
use crate::wal::header::{LOG_HEADER_SIZE_BYTES, LOG_MAGIC, LogHeader};

pub(super) fn starts_as_log(file: &DiskFile) -> Result<bool> {
    Ok(first_bytes(file, 4)? == LOG_MAGIC)
}

/// Every intact frame, wherever one stands; what is between them is told as one item.
pub(super) fn show(file: &DiskFile, see: &mut See<'_>) -> Result<ControlFlow<()>> {
    let len = file.len_bytes()?;
    let bytes = first_bytes(file, LOG_HEADER_SIZE_BYTES)?;
    let header = match LogHeader::decode(&bytes) {
        Ok(header) => header,
        Err(error) => {
            let item = json!({ "item": "log header", "bytes": len, "error": error.to_string() });
            return Ok(see(&item));
        }
    };
    let item = json!({
        "item": "log header",
        "bytes": len,
        "store": hex(&header.store.0),
        "file_id": header.file.0,
        "salt": hex(&header.salt.0),
        "base_lsn": header.base.0,
    });
    if see(&item).is_break() {
        return Ok(ControlFlow::Break(()));
    }
    let identity = LogFileIdentity { store: header.store, salt: header.salt };
    let mut at = LOG_HEADER_SIZE_BYTES as u64;
    let mut gap = Gap::default();
    while at < len {
        let Some((header, bytes)) = intact(file, &identity, at, len)? else {
            let sector = (SECTOR_SIZE_BYTES as u64 - at % SECTOR_SIZE_BYTES as u64).min(len - at);
            let mut bytes = vec![0; index(sector)];
            file.read_exact_at(&mut bytes, at)?;
            gap.add(at, &bytes);
            at += sector;
            continue;
        };
        if gap.tell(at, see).is_break() || see(&item_of(&header, &bytes, &identity, at)).is_break()
        {
            return Ok(ControlFlow::Break(()));
        }
        at += header.len as u64;
        if header.ends_group {
            at = at.next_multiple_of(SECTOR_SIZE_BYTES as u64);
        }
    }
    Ok(gap.tell(len, see))
}

/// Bytes in which no frame stands.
#[derive(Default)]
struct Gap {
    start: Option<u64>,
    has_bytes: bool,
}

impl Gap {
    fn add(&mut self, at: u64, bytes: &[u8]) {
        self.start.get_or_insert(at);
        self.has_bytes |= bytes.iter().any(|byte| *byte != 0);
    }

    fn tell(&mut self, end: u64, see: &mut See<'_>) -> ControlFlow<()> {
        let Self { start: Some(start), has_bytes } = std::mem::take(self) else {
            return ControlFlow::Continue(());
        };
        let mut item = json!({ "item": "no frame", "offset": start, "bytes": end - start });
        if has_bytes {
            item["error"] = json!("not zeros: a torn tail if nothing follows, else damage");
        }
        see(&item)
    }
}

/// The frame at an offset, if it is whole.
fn intact(
    file: &DiskFile,
    identity: &LogFileIdentity,
    at: u64,
    len: u64,
) -> Result<Option<(FrameHeader, Vec<u8>)>> {
    if len - at < FRAME_HEADER_SIZE_BYTES as u64 {
        return Ok(None);
    }
    let mut bytes = vec![0; FRAME_HEADER_SIZE_BYTES];
    file.read_exact_at(&mut bytes, at)?;
    let Some(header) = FrameHeader::plausible(&bytes) else { return Ok(None) };
    if header.len as u64 > len - at || !header.stands_at(&bytes, identity.salt, at) {
        return Ok(None);
    }
    bytes.resize(header.len, 0);
    file.read_exact_at(&mut bytes, at)?;
    Ok(header.is_intact(&bytes, identity.salt, at).then_some((header, bytes)))
}

fn item_of(header: &FrameHeader, bytes: &[u8], identity: &LogFileIdentity, at: u64) -> Value {
    let mut item = json!({
        "item": "frame",
        "offset": at,
        "bytes": header.len,
        "kind": format!("{:?}", header.kind).to_lowercase(),
        "first_lsn": header.first.0,
        "last_lsn": header.last().0,
        "durable_lsn": header.durable.0,
        "ends_group": header.ends_group,
    });
    if header.kind != FrameKind::Batch {
        return item;
    }
    // The first section says which codec there is. What is sealed stays so.
    let codec = bytes.get(FRAME_HEADER_SIZE_BYTES + 16).copied().unwrap_or_default();
    let mut codecs = LogCodecs::new(Arc::new(Keys::keyless(codec)), *identity);
    match frame::decode(bytes, at, &mut codecs) {
        Ok(batch) => item["sections"] = batch.sections.iter().map(section).collect(),
        Err(error) => item["error"] = json!(error.to_string()),
    }
    item
}

/// A section with its records, as far as they can be read.
pub(super) fn section(section: &Section) -> Value {
    if section.carried.is_some() {
        return json!({
            "collection_id": section.collection.0,
            "key": section.key.to_string(),
            "sealed_records": section.records,
            "sealed_bytes": section.bytes.len(),
        });
    }
    let collection = section.collection.0;
    let mut records = Vec::new();
    let read = section.for_each(|found| {
        records.push(record(collection, &found));
        Ok(())
    });
    let mut item = json!({ "collection_id": section.collection.0, "records": records });
    if let Err(error) = read {
        item["error"] = json!(error.to_string());
    }
    item
}

fn record(collection: u64, record: &Record<'_>) -> Value {
    match record {
        Record::CreateCollection { name, descriptor } => {
            json!({ "create": collection, "name": name, "descriptor": hex(descriptor) })
        }
        Record::DropCollection { id, shreds: false } => json!({ "drop": id.0 }),
        Record::DropCollection { id, shreds: true } => json!({ "shred": id.0 }),
        Record::RenameCollection { name } => json!({ "rename": collection, "name": name }),
        Record::AlterCollection { descriptor } => {
            json!({ "alter": collection, "descriptor": hex(descriptor) })
        }
        Record::Upsert { external_id, vector, payload } => json!({
            "upsert": external_id,
            "vector": hex(vector),
            "payload": text_or_hex(payload),
        }),
        Record::Delete { external_id } => json!({ "delete": external_id }),
    }
}
