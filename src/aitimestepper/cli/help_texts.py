"""The texts of --help: what the program is for, and what follows the flags of each command."""

DESCRIPTION = """\
A learned time stepper for gravitational N-body simulation: train a network that chooses the step, and simulate with it."""

EPILOG = {
    "": """\
examples:
  aitimestepper train --ic kepler --num-orbits 32 --epochs 50 --steps-per-epoch 20 --save-name first
  aitimestepper simulate --model first --ic kepler:e=0.8 --movie orbit.mp4
  aitimestepper simulate --criterion freefall:eta=0.02 --symmetrized --ic burrau --t-end 60
  aitimestepper both --config examples/quickstart.toml
  aitimestepper simulate --list-ic
  aitimestepper train --judge run --ic-family my.py --tolerances 1e-5 --save-name mine
  aitimestepper report run.h5 -o run.html
  aitimestepper inspect run.h5
  aitimestepper plot orbits run.h5 -o orbits.pdf
  aitimestepper bench steps --quick
  aitimestepper doctor

Settings come from the defaults, then from --config FILE.toml (shared ones at its top, [train] and [simulate] tables over
them), then from flags. `aitimestepper both --help` lists all of them. Training needs PyTorch, simulating does not.""",
    "train": """\
examples:
  aitimestepper train --ic kepler --num-orbits 64 --e-max 0.95 --epochs 100 --steps-per-epoch 20 --lr 1e-3 --save-name orbits
  aitimestepper train --ic random:n=3 --num-orbits 32 --feature-type rich --save-name three
  aitimestepper train --judge run --ic-family my.py --tolerances 1e-5 --save-name mine       for problems of your own
  aitimestepper train --judge run --integrator blanes_moan6 --save-name mine                   for all families of the package
  aitimestepper train --resume orbits --epochs 200

Each epoch has two parts. With judge step (the default), Part 1 collects steps_per_epoch accepted steps of every system: a step
whose energy error is above energy_threshold is rejected, and the network learns from it until it passes. In Part 2 it learns
from random minibatches of the accepted steps until a whole minibatch passes.

With judge run, Part 1 runs num_orbits new problems of each family accurately; a run whose energy error is above
energy_threshold is rejected and made again. In Part 2 the network learns from random minibatches of them to stay within the
tolerances of whole runs at few force evaluations. At the end it is calibrated on true runs. The networks of the package are
made so. my.py holds functions (rng, dim) -> (Bodies, t_end); see docs/bench.md.

OUT_DIR/SAVE_NAME gets checkpoints (.pt, to continue from), models (.npz, to simulate with), metrics.jsonl and config.toml.
Defaults that depend on the judge are listed as `step / run`.""",
    "simulate": """\
examples:
  aitimestepper simulate --model orbits --ic kepler:e=0.9,q=0.1 --t-end 100 --json
  aitimestepper simulate --model runs/orbits/model_epoch_0100.npz --symmetrized --movie run.mp4
  aitimestepper simulate --criterion boekholt:eta=0.02 --symmetrized --integrator kahan_li6 --ic figure8
  aitimestepper simulate --criterion prs23 --ic burrau --t-end 60            (with radau15, whose rule it is)
  aitimestepper simulate --ic file:bodies.txt --t-end 10 --tol 1e-5
  aitimestepper simulate --ic file:planets.csv --units "au Msun yr" --t-end 100
  aitimestepper simulate --ic solar --t-end 3.6e6 --output solar.h5 --output-every 3652.5
  aitimestepper simulate --resume solar.h5

A model comes with its features, integrator, physics and initial conditions; flags override the last two. Without a model and
without a criterion, the learned step of the package keeps the relative energy error below --tol (1e-6), with the integrator
that is cheapest for it. The command prints a summary: the tolerance, whether the run stayed within it, and how many force
evaluations it took. It is JSON in a pipe or with --json; a terminal gets lines, and for several systems tables. Simulations are
compiled and compute in float64 on the CPU.""",
    "report": """\
examples:
  aitimestepper report burrau.h5                                       (report.html, to play and scrub through the run)
  aitimestepper report loose.h5 tight.h5 runs/orbits -o page.html      (side by side)
  aitimestepper report orbits --ic kepler:e=0.8,q=0.3 --symmetrized
  aitimestepper report runs/orbits --movie runs/orbits/orbit.mp4

About simulations (.h5), several runs, or with -o, this writes one page that shows what was recorded: orbits to turn, play and
scrub, beside dt, energy error and tolerance, forces and encounters; for trainings, their metrics. It opens from disk without a
network, and says the command that repeats each run. A simulation of a million rows is thinned to 50,000: the smallest and the
largest values of every pixel stay, and all numbers are those of the file.

About one training without -o, it simulates with its network, compares its steps with classical ones at equal error, and writes
report.html and report.png into the folder of the run. That needs the extra report (matplotlib), but no PyTorch.""",
    "both": """\
example:
  aitimestepper both --config examples/quickstart.toml --report

Trains, then simulates with the network just trained. With --report the network is compared with classical steps.""",
    "inspect": """\
examples:
  aitimestepper inspect run.h5
  aitimestepper inspect runs/orbits
  aitimestepper inspect run.h5 --json

For a simulation, this prints whether it has finished, is being written now, or was stopped or killed (its rows are whole then
too), how large its errors are, and how to resume it. For a model, it prints the inputs of the network and what it was trained
and calibrated for; a checkpoint (.pt) is described by the model (.npz) beside it. A file can be read while another process
writes it.""",
}
