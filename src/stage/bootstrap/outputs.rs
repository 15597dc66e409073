//! What is captured of the build directory when `x.py` is done: the next stage changes it.

use super::{Context, Xpy};
use crate::pipeline::kind::bootstrap::BootstrapCommand;
use crate::plan::{Arg, Op, Output, Step, Symbol};

/// Where an output stands in `${self.out}`, below which a name may be a pattern.
pub(in crate::stage) fn below_out(output: &str) -> Option<&'static str> {
    match output {
        "toolchain" => Some("toolchain"),
        "rustc" => Some("toolchain/bin/rustc"),
        "driver" => Some("toolchain/lib/librustc_driver-*.so"),
        "libllvm" => Some("toolchain/lib/libLLVM.so.*"),
        _ => None,
    }
}

pub(super) fn capture(xpy: &Xpy, cx: &mut Context) {
    match xpy.kind.command {
        BootstrapCommand::Build => toolchain(xpy, cx),
        BootstrapCommand::Dist => {
            copy(cx, "archives", &xpy.build_dir().join("dist"));
            output(cx, "archives", Arg::from(Symbol::Out).join("archives"), true);
        }
        BootstrapCommand::Test => {}
    }
}

fn toolchain(xpy: &Xpy, cx: &mut Context) {
    copy(cx, "toolchain", &xpy.host_dir().join(&format!("stage{}", xpy.kind.stage)));
    let toolchain = Arg::from(Symbol::Out).join("toolchain");
    let portable = xpy.kind.pgo.generates().is_none();
    output(cx, "toolchain", toolchain.clone(), portable);
    output(cx, "rustc", toolchain.clone().join("bin/rustc"), portable);
    output(cx, "driver", toolchain.clone().join("lib/librustc_driver-*.so"), portable);
    let cargo = match xpy.kind.builds("cargo") {
        true => xpy.host_dir().join(&format!("stage{}-tools-bin/cargo", xpy.kind.stage)),
        false => xpy.host_dir().join("stage0/bin/cargo"),
    };
    copy(cx, "cargo", &cargo);
    output(cx, "cargo", Arg::from(Symbol::Out).join("cargo"), portable);
    if xpy.llvm_config.is_none() {
        output(cx, "libllvm", toolchain.clone().join("lib/libLLVM.so.*"), portable);
        // Into the toolchain, where it finds the libLLVM that it is linked with.
        let profdata = toolchain.join("bin/llvm-profdata");
        let from = xpy.host_dir().join("llvm/build/bin/llvm-profdata");
        cx.step(Step::op("capture-profdata", Op::capture(&from, &profdata)));
        output(cx, "profdata", profdata, portable);
    }
}

fn copy(cx: &mut Context, name: &str, from: &Arg) {
    let to = Arg::from(Symbol::Out).join(name);
    cx.step(Step::op(format!("capture-{name}"), Op::capture(from, &to)));
}

fn output(cx: &mut Context, name: &str, path: Arg, portable: bool) {
    cx.plan.outputs.push(Output { name: name.into(), path, portable, show: false });
}
