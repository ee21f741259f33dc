//! The text of a fault with its causes, or of the innermost one.

/// Maximum number of causes in a text. A chain of this length would be a mistake of the program.
const CAUSES_MAX: usize = 16;

/// The fault and its causes, each once. Some errors end with the text of their cause already.
pub(crate) fn with_causes(fault: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in fault.chain().take(CAUSES_MAX) {
        let cause = cause.to_string();
        if text.is_empty() {
            text = cause;
        } else if !text.ends_with(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}

/// The innermost cause of a failed exchange: the error itself only says that there was one.
pub(crate) fn innermost(fault: &(dyn std::error::Error + 'static)) -> String {
    let mut cause = fault;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::path::PathBuf;

    use anyhow::Context;

    use super::*;
    use crate::config::ConfigError;

    #[test]
    fn each_cause_is_in_the_text_once() {
        let missing = || io::Error::from_raw_os_error(2);
        let read = ConfigError::Read { path: PathBuf::from("/a"), source: missing() };
        let text = with_causes(&anyhow::Error::from(read).context("the engine cannot start"));
        let expected = "the engine cannot start: cannot read the configuration \"/a\": \
                        No such file or directory (os error 2)";
        assert_eq!(text, expected);
        let plain = Err::<(), _>(missing()).context("cannot open").unwrap_err();
        assert_eq!(with_causes(&plain), "cannot open: No such file or directory (os error 2)");
        assert_eq!(with_causes(&anyhow::anyhow!("alone")), "alone");
    }
}
