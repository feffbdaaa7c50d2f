//! StatsD as the tests read it: Gunicorn's few forms, one line a datagram.

/// A line of StatsD.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// The metric's name.
    pub name: String,
    /// Its value.
    pub value: f64,
    /// Its type: `c`, `g`, `ms` or `h`.
    pub kind: String,
    /// Its tags.
    pub tags: Vec<String>,
}

impl Sample {
    /// Reads a line such as `gunicorn.requests:1|c|@1.0|#env:prod`.
    pub fn parse(line: &str) -> Sample {
        let (name, rest) = line.split_once(':').unwrap();
        let mut fields = rest.split('|');
        let value = fields.next().unwrap().parse().unwrap();
        let kind = fields.next().unwrap().to_owned();
        let mut tags = Vec::new();
        for field in fields {
            match field.strip_prefix('#') {
                Some(list) => tags.extend(list.split(',').map(str::to_owned)),
                None => assert_eq!(field, "@1.0", "Gunicorn samples nothing: {line}"),
            }
        }
        Sample { name: name.to_owned(), value, kind, tags }
    }

    /// Whether it adds to a distribution.
    pub fn is_distribution(&self) -> bool {
        matches!(&*self.kind, "ms" | "h")
    }
}
