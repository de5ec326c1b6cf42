"""The text of the manual: what each command does, with examples."""

__all__ = ["COMMANDS", "STORE"]

STORE = "store"
"""The one command that takes paths instead of a configuration."""

COMMANDS: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "reproduce": (
        "run every stage in order, then score and report",
        """Trains the classifier while accumulating attention, the integral models, makes proxy
labels, trains a segmenter on each, scores everything and writes the report. Finished
stages are skipped, an interrupted one is resumed: run it again after a crash, or when it
ended with status 130 (Ctrl-C, SIGTERM, SIGUSR1, +trainer.max_time=DD:HH:MM:SS).

Tries ten steps of each training first. If the run will take minutes, it says how long, and
what would be quicker, as command lines that can be typed; estimate=false starts at once.

Writes <runs>/<name>/results.csv and <runs>/<name>/report/index.html.""",
        (
            "oaa reproduce",
            "oaa reproduce experiment=table2_voc320 data.root=VOC net.weights=vgg16.safetensors",
            "oaa reproduce experiment=voc12 data.root=VOC background=boundary",
            "oaa reproduce experiment=photos data.root=photos data.tag_file=tags.csv",
            "oaa reproduce -m seed=0,1,2",
        ),
    ),
    "data": (
        "download PASCAL VOC 2012, and make its augmented training set",
        """Makes data.root hold what experiment=voc12 trains and tests on, each step skipped if its
result is there: VOC 2012 and SBD by torchvision, checked (about 3.5 GB of archives; 6 GB
in all), the list train_aug (10,582 photos), and a mask for each of its photos and val's.

data.root is an empty or new folder, one that holds VOCdevkit/VOC2012, or VOC2012 itself.
Without a network, put VOCtrainval_11-May-2012.tar and benchmark.tgz there by hand: the
command says where they come from. A folder that has the lists train_aug and val and all
their masks is taken as it is, with a warning if train_aug is not the published one.

Saliency maps (data.saliency=<folder>) are not downloaded; background=boundary needs none.""",
        ("oaa data experiment=voc12 data.root=VOC",),
    ),
    "data check": (
        "read a data set once, and list all that is wrong with it",
        """For every data=. Prints photos by class, sizes, errors (what a training, or its scores,
would stop at) and warnings, each with the way to repair it: photos that cannot be read or do not
exist, masks and saliency maps of another size or with foreign ids, names that look alike or
are too long, one picture under two names, classes too rare or on every photo, and more.

Writes sample photos with their tags, and masks over them, to check.sheet=<file.jpg>
(<runs>/<name>/data-check.jpg). The status is 2 if a training would stop, else 0.""",
        (
            "oaa data check experiment=photos data.root=photos data.tag_file=tags.csv",
            "oaa data check experiment=voc12 data.root=VOC check.sheet=sheet.jpg",
        ),
    ),
    "fit": (
        "train one stage",
        """stage=classifier   on tags; feeds the stores of cumulative maps (fusion=...)
stage=integral     on the cumulative maps (loss=hybrid|cross_entropy|pooled_hybrid)
stage=segmenter    on the proxy labels of method=...

With -m, one training per combination, each in a folder named by what it overrides.""",
        (
            "oaa fit stage=classifier trainer=gpu",
            "oaa fit -m fusion=maximum,running_mean seed=0,1",
            "oaa fit stage=integral loss=cross_entropy",
        ),
    ),
    "attend": (
        "write a trained model's own maps into a store",
        """method=cam              the classifier's final maps
method=oaa_plus_hybrid  those of the integral model (loss=hybrid)
method=oaa_plus_mce     the same for loss=cross_entropy
method=tags             the control: full attention everywhere to every tag
attend.scales, attend.flip  the mean over several scales, and over the mirrored photos""",
        ("oaa attend method=cam", "oaa attend method=oaa_plus_mce loss=cross_entropy"),
    ),
    "label": (
        "make proxy labels from a store of maps",
        """Combines the maps of method=... with a background cue (background=folder|onnx|
boundary|constant) by the rule of proxy=release. Writes palette PNGs, ids as in VOC.
refine=proposals snaps them to mask proposals of any model (data.proposals=<folder>).""",
        (
            "oaa label method=oaa_max",
            "oaa label method=oaa_plus_hybrid background=folder data.saliency=VOC/Saliency",
            "oaa label method=oaa_max background=onnx saliency.model=u2net.onnx",
        ),
    ),
    "evaluate": (
        "score finished stages against true masks",
        """Scores what has no such scores yet, and gathers <runs>/<name>/results.csv. The only
command that reads masks. evaluate.threshold is fixed beforehand, attention/miou_best is an
oracle. maps=FOLDER scores maps (<id>_<class>.png, <id>.npz, <id>.npy) or label maps (<id>.png)
of other code instead, without a run: a table here, and files in <runs>/<name>/maps.
Segmenters cut a network input with a side above evaluate.tile pixels into overlapping tiles.""",
        (
            "oaa evaluate maps=cams experiment=voc12 data.root=VOC",
            "oaa evaluate evaluate.scales=[0.75,1.0,1.25] evaluate.flip=true crf=release",
            "oaa evaluate experiment=voc12 data.root=VOC \\\n"
            "    data.val_split=test data.val_tags=none submission=true",
        ),
    ),
    "predict": (
        "masks, overlays, confidence for a folder of new photos",
        """Writes masks/<name>.png, overlays/<name>.png (predict.overlays=false: none), with
predict.confidence=true confidence/<name>.png, with predict.rle=true coco.json, and a line of
manifest.jsonl for each photo. The same command computes only what is missing; predictions by
other settings are refused. A network input with a side above predict.tile pixels is cut into
overlapping tiles.

Reads all files of the folder and its subfolders. Files that are not photos are named and
skipped; hidden files are skipped; links are followed. The status is non-zero only if no file
could be read.

Needs only the segmenter's folder (last.ckpt, config.yaml, stage.json), which may be anywhere.
Uses the settings recorded there, unless this command line names another: evaluate.size (pixels
of a square, or of the long side with evaluate.keep_shape=true; null: the photo's own size),
evaluate.scales, evaluate.flip, crf, trainer. A network of your own module, of timm or of
torchvision is called once you allow it: allow_targets=[mynet]. Only do so if you trust the
folder and know that code.""",
        (
            "oaa predict predict.photos=holiday",
            "oaa predict predict.checkpoint=runs/synthetic/seed-0/segmenter/oaa_max/last.ckpt \\\n"
            "    predict.photos=holiday predict.output=masks",
            "oaa predict predict.photos=holiday predict.confidence=true predict.rle=true",
            "oaa predict predict.photos=holiday evaluate.scales=[0.75,1.0,1.25] evaluate.flip=true",
        ),
    ),
    "export": (
        "a trained network as a file for other software: ONNX, torch.export",
        """Writes <kind>.onnx (format=torch_export: .pt2) and the model card <kind>.md to a folder.
stage=classifier|integral|segmenter chooses the network of this run; export.checkpoint=<file or
folder> takes another one. Batch and photo size stay free. The file's metadata has the classes and
the rule by which a photo is resized.

The file is compared with the checkpoint on a photo (export.photo=<file>) before it is written. If
they differ, or the format lacks an operation of the network, nothing is written and the status is
2. ONNX needs the extra: pip install 'oaa_pl[export]'.""",
        (
            "oaa export stage=segmenter format=onnx",
            "oaa export export.checkpoint=runs/synthetic/seed-0/segmenter/oaa_max/last.ckpt \\\n"
            "    format=torch_export export.output=model export.photo=beach.jpg",
        ),
    ),
    "saliency": (
        "saliency maps by a salient-object network, for background=folder",
        """Writes <saliency.output>/<id>.png for the photos of saliency.photos=..., or else for the
training photos of data=..., into data.saliency. Maps that are there already are left as they
are: run it again after a crash. Files that are not photos are named and skipped.

saliency.model is an ONNX file with one input (1, 3, h, w), such as U2-Net or U2-Net-p; models
are not fetched by name. Needs the extra: pip install 'oaa_pl[saliency]'. Without the command,
background=onnx asks the same model while `oaa label` runs, and keeps the maps in its cache.""",
        (
            "oaa saliency saliency.model=u2net.onnx saliency.photos=holiday \\\n"
            "    saliency.output=maps",
            "oaa saliency experiment=table2_voc320 data.root=VOC saliency.model=u2net.onnx",
        ),
    ),
    "report": (
        "write the page of tables, curves and pictures",
        """Gathers the results of all seeds, and shows the pictures of seed=...

report.beside=FOLDER, such as runs/other/seed-1, shows a second run beside this one: the methods
of both, of the photos that both have.

With a folder instead of values, such as runs/synthetic: mean, deviation and paired differences
of all jobs of a sweep, into sweep.csv and sweep.md there. A run that cannot be read is named and
skipped.""",
        (
            "oaa report",
            "oaa report experiment=table2_voc320 data.root=VOC",
            "oaa report report.beside=runs/other/seed-1",
            "oaa report runs/synthetic",
        ),
    ),
    STORE: (
        "look at, check, repair, merge, export a store of attention maps",
        """info PATH [generation=N]                what it holds
verify PATH [generation=N]              compare every byte with its checksum, name damaged rows
repair PATH [checkpoint=FILE]           recompute the damaged rows of the newest generation, and
                                        only those, with the model that made the maps
merge INTO PART PART ...                what several machines accumulated, into a new store
export PATH FOLDER [format=png|npz|npy] a file per map or per image, as other code reads them;
                                        also generation=N; npy: photos=FOLDER adds high_res
import FOLDER PATH                      and back: an export knows its data set
import FOLDER PATH KEY=VALUE ...        maps of other code: say the data set as for `oaa fit`

A run's stores are in runs/<name>/seed-<seed>/attention/<method>/store. What is made (INTO,
FOLDER of an export, PATH of an import) must be new: it is made whole or not at all.""",
        (
            "oaa store info runs/synthetic/seed-0/attention/oaa_max/store",
            "oaa store verify runs/synthetic/seed-0/attention/oaa_max/store",
            "oaa store merge all first second third",
            "oaa store export runs/synthetic/seed-0/attention/oaa_max/store maps format=png",
            "oaa store import maps again",
            "oaa store import foreign_maps store experiment=voc12 data.root=VOC",
        ),
    ),
}
