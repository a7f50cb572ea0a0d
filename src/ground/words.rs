//! Closed sets of words: an enum whose every value has the one word that metrics, records and logs
//! use for it. It gives sets their shape; what they mean stands where they are made.

/// Makes a closed set: `ALL`, `NAMES`, `as_str`, and the same word for `Display` and serde.
macro_rules! words {
    ($(#[$meta:meta])* $vis:vis enum $name:ident {
        $($(#[$doc:meta])* $variant:ident = $word:literal),+ $(,)?
    }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        $vis enum $name {
            $($(#[$doc])* $variant),+
        }

        impl $name {
            /// Every value, in metric order.
            $vis const ALL: [Self; [$($word),+].len()] = [$(Self::$variant),+];
            /// Their words, in the same order.
            $vis const NAMES: [&'static str; [$($word),+].len()] = [$($word),+];

            /// The word in metrics, records and logs.
            #[must_use]
            $vis const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word),+
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                s.serialize_str(self.as_str())
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                let word = <std::borrow::Cow<'de, str>>::deserialize(d)?;
                let at = Self::NAMES.iter().position(|name| *name == word);
                at.and_then(|at| Self::ALL.get(at).copied())
                    .ok_or_else(|| serde::de::Error::unknown_variant(&word, &Self::NAMES))
            }
        }
    };
}
pub(crate) use words;

#[cfg(test)]
mod tests {
    words! {
        /// Two.
        enum Pair {
            /// One.
            Left = "left",
            /// Other.
            Right = "right_one",
        }
    }

    #[test]
    fn every_value_has_one_word_everywhere() {
        for (value, name) in Pair::ALL.into_iter().zip(Pair::NAMES) {
            assert_eq!(value.as_str(), name);
            assert_eq!(value.to_string(), name);
            let json = serde_json::to_string(&value).expect("a word");
            assert_eq!(json, format!("\"{name}\""));
            assert_eq!(serde_json::from_str::<Pair>(&json).expect("the word"), value);
        }
        assert_eq!(Pair::Right as usize, 1);
        assert!(serde_json::from_str::<Pair>("\"both\"").is_err());
    }
}
