//! `quiver import`: rows of a file into a collection.

#![expect(clippy::disallowed_types, reason = "the tool reads a file that is no store's")]

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use quiver_store::import::{
    ImportOptions, ImportRow, ImportSummary, JsonLinesReader, NpyReader, VecsReader, import_rows,
};
use quiver_store::{
    CollectionId, Descriptor, DistanceMetric, Dtype, Error, ErrorKind, FilterableField, Options,
    Store,
};
use serde_json::json;

use crate::Dir;
use crate::keys::Opener;
use crate::output::{Failure, Output, Unit, bar};
use crate::stop;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Writes to the store, and makes it where there is none. Ended early or failed, it leaves whole batches; \
begun again it writes the same rows under the same ids.

Example: quiver import /var/lib/points digits digits.jsonl --create --dim 64 --dtype u8 --field digit:numeric")]
pub(crate) struct Arguments {
    #[command(flatten)]
    store: Dir,
    /// The collection's name.
    collection: String,
    /// The file: .jsonl, .npy, .fvecs or .bvecs.
    file: PathBuf,
    /// Make the collection if it is missing; then --dim is needed.
    #[arg(long)]
    create: bool,
    /// Elements of each vector.
    #[arg(long, requires = "create")]
    dim: Option<u32>,
    /// Type of the elements: f32, f16, bf16, i8, u8, binary.
    #[arg(long, requires = "create", default_value = "f32")]
    dtype: String,
    /// dot, cosine or l2.
    #[arg(long, requires = "create", default_value = "cosine")]
    metric: String,
    /// A filterable field, PATH:TYPE with keyword, numeric or bool; may come several times.
    #[arg(long = "field", requires = "create")]
    fields: Vec<String>,
    /// Put before each id.
    #[arg(long, default_value = "")]
    id_prefix: String,
}

pub(crate) fn run(arguments: &Arguments, opener: &Opener, out: &mut Output) -> Result<(), Failure> {
    let rows = rows(&arguments.file)?;
    let descriptor = if arguments.create { Some(descriptor(arguments)?) } else { None };
    let store = match descriptor {
        Some(_) => Store::open_with(opener.env(&arguments.store.dir), Options::default())?,
        None => opener.open_existing(&arguments.store.dir)?,
    };
    let id = collection(&store, &arguments.collection, descriptor)?;
    let options = ImportOptions { id_prefix: arguments.id_prefix.clone(), ..Default::default() };
    let bar = bar(Unit::Count);
    let rows = rows.take_while(|_| stop::goes_on().is_continue());
    let summary = import_rows(&store, id, rows, &options, |at: &ImportSummary| {
        bar.set_position(at.rows);
    });
    bar.finish_and_clear();
    let ImportSummary { rows, batches, bytes, .. } = summary?;
    store.close()?;
    let is_complete = stop::goes_on().is_continue();
    let json = json!({
        "rows": rows, "batches": batches, "bytes": bytes, "is_complete": is_complete,
    });
    out.answer(&json, &format!("{rows} rows in {batches} batches"))?;
    stop::check(
        "the rows above are stored; begun again it writes them once more, under the same ids",
    )
}

type Rows = Box<dyn Iterator<Item = Result<ImportRow, Error>>>;

fn rows(path: &Path) -> Result<Rows, Failure> {
    let opened = File::open(path);
    let file =
        opened.map_err(|error| Failure::File(format!("cannot open {}", path.display()), error))?;
    let reader: Box<dyn Read> = Box::new(std::io::BufReader::with_capacity(1 << 20, file));
    Ok(match path.extension().and_then(|extension| extension.to_str()) {
        Some("jsonl" | "ndjson") => Box::new(JsonLinesReader::new(reader)),
        Some("npy") => Box::new(NpyReader::new(reader)?),
        Some("fvecs") => Box::new(VecsReader::fvecs(reader)),
        Some("bvecs") => Box::new(VecsReader::bvecs(reader)),
        _ => {
            let path = path.display();
            let what =
                format!("{path}: expected a name that ends in .jsonl, .npy, .fvecs or .bvecs");
            return Err(Failure::Usage(what));
        }
    })
}

fn collection(
    store: &Store,
    name: &str,
    descriptor: Option<Descriptor>,
) -> Result<CollectionId, Failure> {
    match (store.collection_id(name)?, descriptor) {
        (Some(id), _) => Ok(id),
        (None, Some(descriptor)) => Ok(store.create_collection(name, descriptor)?),
        (None, None) => {
            let names = store.collection_names()?.join(", ");
            let what = format!(
                "no collection is named {name}; there are: {names}\n  --create makes it, with --dim"
            );
            Err(Failure::Usage(what))
        }
    }
}

fn descriptor(arguments: &Arguments) -> Result<Descriptor, Failure> {
    let Some(dim) = arguments.dim else {
        return Err(Failure::Usage("--create needs --dim, the elements of a vector".to_owned()));
    };
    let dtype = match arguments.dtype.as_str() {
        "f32" => Dtype::F32,
        "f16" => Dtype::F16,
        "bf16" => Dtype::Bf16,
        "i8" => Dtype::I8,
        "u8" => Dtype::U8,
        "binary" => Dtype::Binary,
        other => {
            let what = format!("--dtype {other}: expected f32, f16, bf16, i8, u8 or binary");
            return Err(Failure::Usage(what));
        }
    };
    let metric = match arguments.metric.as_str() {
        "dot" => DistanceMetric::Dot,
        "cosine" => DistanceMetric::Cosine,
        "l2" => DistanceMetric::L2,
        other => {
            let what = format!("--metric {other}: expected dot, cosine or l2");
            return Err(Failure::Usage(what));
        }
    };
    let fields = arguments.fields.iter().map(|field| match field.rsplit_once(':') {
        Some((path, "keyword")) => Ok(FilterableField::keyword(path)),
        Some((path, "numeric")) => Ok(FilterableField::numeric(path)),
        Some((path, "bool")) => Ok(FilterableField::boolean(path)),
        _ => Err(Failure::Usage(format!(
            "--field {field}: expected PATH:TYPE with keyword, numeric or bool"
        ))),
    });
    let fields = fields.collect::<Result<Vec<_>, _>>()?;
    let descriptor = Descriptor::new(dim, dtype, metric).with_filterable(fields);
    descriptor.validate().map_err(|error| match error.kind() {
        ErrorKind::InvalidArgument => Failure::Usage(error.to_string()),
        _ => Failure::Store(error),
    })?;
    Ok(descriptor)
}
