//! `hongyan doctor`: looks for what is wrong with a server's surroundings, beside the server or before its
//! first start. Each check gives one line, and where something is wrong what to do about it.

mod checks;
mod public;
mod report;

use std::ffi::OsString;
use std::time::Duration;

use super::settings::Want;
use super::{Failure, OnSettings};
use crate::config::PublicUrl;
use report::Report;

/// A check that takes longer says that it is under way.
const PROGRESS_AFTER: Duration = Duration::from_secs(2);

#[derive(clap::Args, Debug)]
pub(super) struct Doctor {
    /// Where clients reach the server, in the place of server.public_url: its certificate and the proxy
    /// before it are looked at
    #[arg(long, value_name = "https://HOST")]
    public: Option<PublicUrl>,
    /// One JSON object instead of lines
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    on: OnSettings,
}

pub(super) fn run(asked: &Doctor, environment: Vec<(OsString, OsString)>) -> Result<(), Failure> {
    let want = if asked.on.dev { Want::DevUnmade } else { Want::Tool };
    let loaded = asked.on.settings.load(want, environment)?;
    let mut report = Report::new(asked.json);
    actix::System::new().block_on(async {
        report.add(checks::settings(&loaded, asked.on.dev))?;
        let config = &loaded.config;
        let (server, status) = with_progress("this server is asked", checks::server(config)).await;
        report.add([server])?;
        report.add(
            with_progress("the database is written", checks::database(config, status.is_some())).await,
        )?;
        report.add([with_progress("WeChat is asked", checks::wechat(config, asked.on.dev)).await])?;
        report.add([with_progress("NATS is asked", checks::nats(config)).await])?;
        report.add([checks::descriptors(config, status.as_ref())])?;
        report.add(
            with_progress(
                "the public name is asked",
                public::check(
                    asked.public.as_ref().or(config.server.public_url.as_ref()),
                    config,
                    status.is_some(),
                ),
            )
            .await,
        )?;
        report.end()
    })
}

/// Says on standard error what is waited for, once it has been for a while.
async fn with_progress<T>(doing: &str, check: impl Future<Output = T>) -> T {
    let mut check = std::pin::pin!(check);
    let began = std::time::Instant::now();
    loop {
        match tokio::time::timeout(PROGRESS_AFTER, &mut check).await {
            Ok(done) => return done,
            Err(_) => eprintln!("      … {doing} ({} s)", began.elapsed().as_secs()),
        }
    }
}
