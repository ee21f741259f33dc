//! Every limit of the API and of the format, in one place. What exceeds one is refused with its name, never cut.
//! "Characters" are Unicode scalar values; sizes of content and payload are bytes of UTF-8.

/// Connections of one port: each costs some kilobytes, and a small body's worth of memory while it sends one.
pub const CONNECTIONS_MAX: usize = 512;
/// Connections of one address, if the configuration sets no other number: four clients that open all they can leave
/// no place for anybody else, one does not.
pub const CONNECTIONS_PER_ADDRESS_DEFAULT: usize = 128;
/// How long a connection may be idle between two requests, if the configuration sets no other time, seconds. Longer
/// than the 60 s that proxies keep theirs, so that the proxy closes it, and not the engine while the proxy sends on it.
pub const KEEP_ALIVE_SECONDS_DEFAULT: u64 = 75;
/// Largest content of a memory and largest payload of an event, bytes.
pub const CONTENT_BYTES_MAX: usize = 1 << 20;
/// Longest title, characters.
pub const TITLE_CHARS_MAX: usize = 120;
/// Longest project, memory type, actor, session and event type, characters.
pub const NAME_CHARS_MAX: usize = 64;
/// Most tags of one memory.
pub const TAGS_MAX: usize = 32;
/// Longest tag, characters.
pub const TAG_CHARS_MAX: usize = 64;
/// Most causes of one event: an event follows from a few others, a list of hundreds is a join somebody avoided.
pub const CAUSES_MAX: usize = 64;
/// Most events of one batch.
pub const BATCH_EVENTS_MAX: usize = 1000;
/// Largest request body, bytes. Content of [`CONTENT_BYTES_MAX`] may grow sixfold when it is escaped (`\u0000`).
pub const BODY_BYTES_MAX: usize = 8 << 20;
/// Most messages of one list of JSON-RPC: as many as anybody waits for, and no more than a request's time is enough
/// for.
pub const RPC_BATCH_MAX: usize = 100;
/// Deepest nesting of a JSON body: enough for any payload, shallow enough for every reader's stack.
pub const JSON_DEPTH_MAX: usize = 64;
/// Most keys of one object of a body: each is compared with all others, and a map with more is a table.
pub const JSON_KEYS_MAX: usize = 10_000;
/// Most values of a body, those inside of others counted too. The largest batch of the graph, 500 entities with 256
/// observations each, has 130,000; a body of the largest size made of zeros would be 130 MiB when it is read into
/// values.
pub const JSON_VALUES_MAX: usize = 200_000;
/// Longest `q`, characters.
pub const QUERY_CHARS_MAX: usize = 4096;
/// Longest query string of a URL, bytes: a `q` of the maximum in escaped four-byte characters, and the filters.
pub const URL_QUERY_BYTES_MAX: usize = 12 * QUERY_CHARS_MAX + 4096;
/// Fewest results that can be asked for.
pub const SEARCH_LIMIT_MIN: u32 = 1;
/// Most results of one search.
pub const SEARCH_LIMIT_MAX: u32 = 1000;
/// Results of a search that does not say.
pub const SEARCH_LIMIT_DEFAULT: u32 = 20;
/// Longest reason of an invalidation, characters.
pub const REASON_CHARS_MAX: usize = 1000;
/// Most events that one event of type `memory.forgotten` names: its line stays far below a mebibyte.
pub const FORGET_TARGETS_MAX: usize = 1000;
/// Most ids of one request for entries.
pub const ENTRIES_MAX: usize = 200;
/// Most bytes of content of one answer with entries: a list of two hundred mebibytes is no answer.
pub const ENTRIES_BYTES_MAX: u64 = 8 << 20;
/// Most memories before and after the anchor of a timeline, and how many when it does not say.
pub const TIMELINE_MAX: u32 = 20;
/// See [`TIMELINE_MAX`].
pub const TIMELINE_DEFAULT: u32 = 5;
/// Most events of a memory's history.
pub const HISTORY_MAX: usize = 1000;
/// Events that a filtered page of `GET /v1/events` looks at: it says where to go on.
pub const EVENTS_SCAN_MAX: usize = 20_000;
/// Most documents of one request.
pub const DOCUMENTS_MAX: usize = 100;
/// Largest piece of a document, bytes: about 500 tokens, small enough to be one thought and to leave room for others
/// in a context, large enough for a paragraph or two.
pub const DOCUMENT_PIECE_BYTES_MAX: usize = 2000;
/// Most pieces of a document: those of a new version and the ends of as many old ones become durable together.
pub const DOCUMENT_PIECES_MAX: usize = BATCH_EVENTS_MAX / 2;
/// Type of the pieces of a document that names none.
pub const DOCUMENT_TYPE_DEFAULT: &str = "document";
/// Largest file of another product that is read as a whole to be imported, bytes; files of lines and databases may be
/// larger.
pub const IMPORT_FILE_BYTES_MAX: u64 = 64 << 20;
/// Most files of one import.
pub const IMPORT_FILES_MAX: usize = 100_000;
/// Directories within directories that an import looks into.
pub const IMPORT_DEPTH_MAX: usize = 32;
/// Longest note of feedback, characters.
pub const NOTE_CHARS_MAX: usize = 1000;
/// Oldest age that a retention rule names, days: a hundred years.
pub const RETENTION_AGE_DAYS_MAX: u32 = 36_500;
/// Largest number of entries that a retention rule names.
pub const RETENTION_ENTRIES_MAX: u64 = 1_000_000_000;
/// Most projects with retention rules of their own.
pub const RETENTION_OVERRIDES_MAX: usize = 1000;
/// Share of a project's memories that a retention run removes without being told the number, percent.
pub const SPIKE_GUARD_PERCENT_DEFAULT: u8 = 20;
/// Memories of all projects that a retention run removes without being told the number.
pub const SPIKE_GUARD_MEMORIES: u64 = 10_000;
/// Most ids that the answer with a retention plan names, and how many when it does not say.
pub const RETENTION_IDS_MAX: u64 = 1000;
/// Longest name of a document's source, characters: paths and URLs are longer than names.
pub const SOURCE_CHARS_MAX: usize = 512;
/// Most ids of one request to forget.
pub const FORGET_IDS_MAX: usize = 1000;
/// Most memories that one request forgets: a hundred events of [`FORGET_TARGETS_MAX`] become durable together.
pub const FORGET_MEMORIES_MAX: usize = 100_000;
/// Matches that a search counts. `total` of a search with more is this number, and `total_is_bound` says so: counting a
/// million matches would cost more than finding the best twenty.
pub const SEARCH_TOTAL_MAX: u32 = 100_000;
/// Furthest a search can be paged: SQLite walks every row it skips.
pub const SEARCH_OFFSET_MAX: u32 = 100_000;
/// Fewest tokens of a context: less holds no memory.
pub const TOKEN_BUDGET_MIN: u32 = 64;
/// Most tokens of a context.
pub const TOKEN_BUDGET_MAX: u32 = 32_768;
/// Tokens of a context that does not say (M12: at most 5,000).
pub const TOKEN_BUDGET_DEFAULT: u32 = 2_000;
/// Most memories that are put into a context for its query.
pub const CHECKOUT_LIMIT_MAX: u32 = 100;
/// Memories of a context that does not say.
pub const CHECKOUT_LIMIT_DEFAULT: u32 = 20;
/// Most types whose memories go into a context whatever its query is.
pub const MANDATORY_TYPES_MAX: usize = 8;
/// Most memories that go into a context whatever its query is, named or of a type.
pub const MANDATORY_MAX: usize = 64;
/// Most events of one page of `GET /v1/events`.
pub const EVENTS_LIMIT_MAX: u32 = 1000;
/// Events of a page that does not say.
pub const EVENTS_LIMIT_DEFAULT: u32 = 100;
/// Largest page of `GET /v1/events`, bytes of log lines: a page ends early rather than hold a thousand payloads of
/// a mebibyte in memory. The first event of a page is always whole.
pub const EVENTS_PAGE_BYTES_MAX: usize = 4 << 20;
/// Largest answer of a tool of the Model Context Protocol, bytes: about 25,000 tokens where a token has fewer than
/// three bytes, which is what clients bear. What does not fit is given in parts.
pub const TOOL_ANSWER_BYTES_MAX: usize = 64 << 10;
/// Longest `Idempotency-Key`, printable ASCII characters.
pub const IDEMPOTENCY_KEY_CHARS_MAX: usize = 128;
/// Longest line of a log, bytes without the line feed: the largest body, escaped once more, and its envelope.
pub const LINE_BYTES_MAX: usize = BODY_BYTES_MAX + (64 << 10);

/// Most segments of an item's namespace: a path that a person reads, not a file system.
pub const ITEM_SEGMENTS_MAX: usize = 8;
/// Longest segment of a namespace, characters: room for a hash or an address beside a word.
pub const ITEM_SEGMENT_CHARS_MAX: usize = 128;
/// Longest key of an item, characters: room for a path of files.
pub const ITEM_KEY_CHARS_MAX: usize = 512;
/// Most fields whose words an item is found by, when it names them.
pub const ITEM_INDEX_FIELDS_MAX: usize = 32;
/// Longest path of such a field, characters.
pub const ITEM_FIELD_CHARS_MAX: usize = 256;
/// Most conditions of one filter: each is one look at every candidate.
pub const ITEM_CONDITIONS_MAX: usize = 32;
/// Most items or namespaces of one answer.
pub const ITEMS_LIMIT_MAX: u32 = 1000;
/// Items of an answer that does not say.
pub const ITEMS_LIMIT_DEFAULT: u32 = 10;
/// Namespaces, and versions of one item, of an answer that does not say.
pub const ITEM_LISTS_LIMIT_DEFAULT: u32 = 100;
/// Most bytes of values or observations in one answer: a thousand values of a mebibyte are more than an engine has
/// memory. The first value of an answer is always whole.
pub const ANSWER_BYTES_MAX: usize = 8 << 20;
/// Most items that one search puts in order before it looks at their values.
pub const ITEM_CANDIDATES_MAX: usize = 100_000;
/// Most files of the memory tool that one command lists, deletes or moves: moving one takes two events of a batch.
pub const MEMORY_FILES_MAX: usize = BATCH_EVENTS_MAX / 2;

/// Longest name of an entity, characters.
pub const ENTITY_NAME_CHARS_MAX: usize = 256;
/// Most entities a memory can be said to be about.
pub const MEMORY_ENTITIES_MAX: usize = 32;
/// Most entities, relations or groups of observations of one request: each is at most two events of one batch.
pub const GRAPH_BATCH_MAX: usize = BATCH_EVENTS_MAX / 2;
/// Longest observation, characters: one fact. What is longer is a memory.
pub const OBSERVATION_CHARS_MAX: usize = 4096;
/// Most observations of one entity in one request.
pub const OBSERVATIONS_MAX: usize = 256;
/// Most entities of one answer.
pub const GRAPH_NODES_MAX: u32 = 1000;
/// Entities of an answer that does not say.
pub const GRAPH_NODES_DEFAULT: u32 = 100;
/// Most relations of one answer: a hub with more is read from its neighbours.
pub const GRAPH_RELATIONS_MAX: usize = 5000;
/// Furthest a walk goes, in relations: beyond that nearly everything is near.
pub const GRAPH_DEPTH_MAX: u32 = 5;
/// Words of a question that are looked at for names of entities.
pub const PHRASE_SOURCE_WORDS_MAX: usize = 256;
/// Longest name that is looked for in a question, words.
pub const PHRASE_WORDS_MAX: usize = 16;

/// Longest time to live of an item in a store of another product, minutes: a hundred years. What is to stay longer has
/// none.
pub const STORE_TTL_MINUTES_MAX: f64 = 60.0 * 24.0 * 36_525.0;

/// Project of a request that names none.
pub const PROJECT_DEFAULT: &str = "default";
/// Type of a memory that names none.
pub const MEMORY_TYPE_DEFAULT: &str = "note";
/// Actor of a request that names none.
pub const ACTOR_DEFAULT: &str = "anonymous";
