//! All tests, in one program: it is linked once, and its tests run side by side.

// A test may abort where there is no room for a thread.
#![allow(clippy::disallowed_methods)]

mod support;

mod bisect {
    mod command;
    mod names;
    mod search;
}
mod cache {
    mod commands;
    mod demo;
    mod directory;
    mod faults;
    mod hostile;
    mod rules;
    mod signing;
    mod support;
}
mod compare {
    mod command;
    mod counting;
    mod crates;
    mod holm;
    mod judgement;
    mod limit;
    mod runs;
    mod sides;
    mod stages;
    mod statistics;
    mod steps;
    mod support;
    mod withheld;
}
mod edges {
    mod exit;
    mod limit;
    mod script;
    mod unheard;
}
mod facts;
mod fs;
mod fuzz {
    mod seeds;
    mod support;
}
mod house;
mod kills {
    mod crash;
    mod damage;
    mod disk;
    mod durations;
    mod gather;
    mod overlay;
    mod power;
    mod records;
    mod signals;
    mod survivors;
    mod sweep;
    mod warnings;
}
mod op {
    mod bolt;
    mod bolt_files;
    mod bolt_output;
    mod bootstrap;
    mod choice;
    mod died;
    mod files;
    mod harness;
    mod instrumented;
    mod merge;
    mod merge_fdata;
    mod place;
    mod profile;
    mod profile_checks;
}
mod pipeline {
    mod alike;
    mod errors;
    mod experiment;
    mod flattered;
    mod idle;
    mod load;
    mod own_kind;
    mod properties;
    mod reference;
    mod shipped;
    mod supply;
    mod support;
    mod tables;
    mod templates;
}
mod plan {
    mod bench;
    mod bootstrap;
    mod bootstrap_config;
    mod bootstrap_support;
    mod cmake_cargo;
    mod cmake_cargo_real;
    mod kinds;
    mod operations;
    mod rustc_perf;
    mod shell;
    mod snapshots;
    mod support;
}
mod proc;
mod process {
    mod census;
    mod runner;
    mod signals;
    mod start;
    mod support;
    mod tail;
    mod tree;
}
mod profile {
    mod archive;
    mod bundle;
    mod equal_c;
    mod equal_rust;
    mod figures;
    mod indexed;
    mod indexed_parts;
    mod kinds;
    mod left_out;
    mod merge;
    mod modes;
    mod mutations;
    mod raw;
    mod show;
    mod sparse;
    mod texts;
    mod tools;
    mod variants;
    mod version_11;
    mod watch;
}
mod real {
    mod bolt_files;
    mod cargo;
    mod cargo_packages;
    mod cargo_pipeline;
    mod cmake;
    mod demo;
    mod fit;
    mod make;
    mod profiles;
    mod refusals;
    mod servers;
}
mod report {
    mod browser;
    mod columns;
    mod command;
    mod comparison;
    mod comparisons;
    mod console;
    mod facts;
    mod github;
    mod info;
    mod model;
    mod page;
    mod past;
    mod schema;
    mod summary;
    mod support;
    mod timeline;
}
mod review {
    mod deletes;
    mod runs;
    mod up_to_date;
}
mod rules {
    mod experiment;
    mod failing;
    mod floods;
    mod library;
    mod looking;
    mod names;
    mod plan;
    mod probes;
    mod program;
    mod restart;
    mod resume;
    mod selection;
    mod slots;
    mod sources;
    mod state;
    mod trees;
    mod up_to_date;
    mod workspaces;
}
mod run {
    mod commands;
    mod earlier;
    mod log;
    mod sampler;
    mod simulate;
}
mod rust {
    mod pipelines;
    mod plans;
    mod support;
}
mod stage {
    mod bolt_options;
    mod differences;
    mod sources;
}
mod state {
    mod begin;
    mod exclude;
    mod fingerprint;
    mod hash;
    mod journal;
    mod manifest;
    mod stage_state;
    mod store;
    mod timing;
    mod workspace;
}
mod stream {
    mod damage;
    mod failing;
    mod gather;
    mod pids;
    mod shares;
    mod silent;
    mod store;
    mod thinner;
}
mod text;
mod toolchain {
    mod find;
    mod rustc_perf;
    mod versions;
}
mod user {
    mod guide;
    mod hints;
    mod init;
    mod make;
    mod messages;
    mod programs;
}
