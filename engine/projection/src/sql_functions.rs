//! SQL functions for texts that contain NUL. SQLite's `substr`, `length`, `LIKE` and `printf` end a text at its first
//! NUL.

use rusqlite::Connection;
use rusqlite::functions::{Context, FunctionFlags};

/// Registers the SQL function `beginning(text, n)`, which returns the first n characters of a text, including NULs.
pub(super) fn register(connection: &Connection) -> rusqlite::Result<()> {
    let flags =
        FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC | FunctionFlags::SQLITE_INNOCUOUS;
    connection.create_scalar_function("beginning", 2, flags, beginning)
}

fn beginning(context: &Context<'_>) -> rusqlite::Result<String> {
    let text = context.get_raw(0).as_str();
    let text = text.map_err(|fault| rusqlite::Error::UserFunctionError(fault.into()))?;
    let chars = context.get::<u32>(1)? as usize;
    let end = text.char_indices().nth(chars).map_or(text.len(), |(end, _)| end);
    Ok(text[..end].to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_does_not_end_at_a_nul() {
        let connection = Connection::open_in_memory().unwrap();
        register(&connection).unwrap();
        let first = |text: &str, chars: i64| {
            let sql = "SELECT beginning(?1, ?2), octet_length(?1), ?1 = (SELECT value FROM json_each(?3))";
            let list = serde_json::to_string(&[text]).unwrap();
            let row = connection.query_row(sql, (text, chars, list), |row| {
                Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?, row.get::<_, bool>(2)?))
            });
            let (beginning, bytes, is_found) = row.unwrap();
            assert_eq!(
                (bytes, is_found),
                (i64::try_from(text.len()).unwrap(), true),
                "{text:?} is compared as a whole"
            );
            beginning
        };
        assert_eq!(first("a\0b\0c", 3), "a\0b");
        assert_eq!(first("\0\0é\0", 9), "\0\0é\0");
        assert_eq!(first("é🦀\0x", 2), "é🦀");
        assert_eq!(first("", 2), "");
    }
}
