//! How a fault of the configuration is shown.

use super::Diagnostic;
use std::fmt;

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "error[{}]: {}", self.code, self.what)?;
        match self.place {
            Some((line, column)) => {
                let number = line.to_string();
                let margin = " ".repeat(number.len());
                writeln!(f, "{margin}--> {}:{line}:{column}", self.file)?;
                writeln!(f, "{number} | {}", self.source)?;
                // Under a tab stands a tab, whatever its width.
                let before = self.source.chars().take(column.saturating_sub(1));
                let indent: String = before.map(|c| if c == '\t' { c } else { ' ' }).collect();
                let room = self.source.chars().count().saturating_sub(column - 1).max(1);
                let carets = "^".repeat(self.width.min(room));
                write!(f, "{margin} | {indent}{carets}")?;
                if let Some(hint) = &self.hint {
                    write!(f, " {hint}")?;
                }
            }
            None => {
                write!(f, "  --> {}", self.file)?;
                if let Some(hint) = &self.hint {
                    write!(f, "\n  = {hint}")?;
                }
            }
        }
        writeln!(f)
    }
}
