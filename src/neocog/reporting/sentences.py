"""The sentences of a report, in English and Chinese: what is seen, and what to make of it."""

from __future__ import annotations

SENTENCES = {
    # the head
    "lead": (
        "A convolutional network that tells {classes} classes of pictures apart, trained on {n} "
        "pictures.",
        "一个区分 {classes} 类图像的卷积网络，用 {n} 张图像训练。",
    ),
    "interval": (
        "95 % interval {low} to {high} (Wilson)",
        "95% 区间 {low} 至 {high}（Wilson）",
    ),
    "views": ("Views of each picture: {views}", "每张图像的视图：{views}"),
    "answers": (
        "{right} of {n} pictures are answered rightly.",
        "{n} 张图像中有 {right} 张回答正确。",
    ),
    "unseen": (
        "None of them took part in training, nor in choosing the weights. Were the test other "
        "pictures of the same kind, an interval made in this way would hold the network's true "
        "score 95 times in 100.",
        "这些图像既未参与训练，也未用于选择权重。若换用同类的其他测试图像，"
        "如此得到的区间 100 次中约有 95 次包含网络的真实得分。",
    ),
    "chosen_by": (
        "They may have served to choose the weights, so the score flatters the network a little.",
        "这些图像可能用于选择权重，因此得分略偏高。",
    ),
    "most_confused": (
        "Most often, {shown} is taken for {taken}: {n} of its {size} pictures, {share}.",
        "最常见的是把 {shown} 当作 {taken}：该类 {size} 张图像中有 {n} 张，占 {share}。",
    ),
    "worst_class": (
        "It knows {name} worst: {share} of these pictures are answered rightly.",
        "最差的类别是 {name}：其图像中 {share} 回答正确。",
    ),
    # what has to be known first
    "unfinished": (
        "This run is not finished: {done} of {of} epochs are done, and nothing is scored yet. What "
        "there is of it is shown. Go on with it by:",
        "本次训练尚未完成：{of} 轮中已完成 {done} 轮，尚无评分。以下仅为已有内容。继续训练：",
    ),
    "diverged": (
        "Training diverged, and nothing is scored. What there is of it is shown. It ended so:",
        "训练已发散，没有评分。以下仅为已有内容。结束原因：",
    ),
    "no_test": (
        "The data have no test split. All scores are of validation pictures, which may have served "
        "to choose the weights.",
        "数据没有测试集。所有评分均来自验证图像，它们可能用于选择权重。",
    ),
    "few": (
        "Only {n} pictures were scored: so few say little.",
        "仅评测了 {n} 张图像：数量太少，说明不了什么。",
    ),
    "one_class": (
        "There is one class only, so every answer is right, and no score says anything.",
        "只有一个类别，任何回答都正确，评分没有意义。",
    ),
    "lacking_moved": (
        "The pictures of this run could not be had when the report was made, and they were not "
        "gathered before: small copies, attention and units are missing. Where they are now, DIR:",
        "制作报告时找不到本次训练的图像，此前也未收集过：缺少缩略图、注意力与单元。"
        "请给出图像现在的位置 DIR：",
    ),
    "lacking_other_data": (
        "The data that were found have another fingerprint than those of this run, so nothing was "
        "taken from them: small copies, attention and units are missing. With the right ones in "
        "DIR:",
        "找到的数据与本次训练的指纹不同，因此没有使用：缺少缩略图、注意力与单元。"
        "请把正确的数据放在 DIR：",
    ),
    "lacking_network": (
        "The trained network could not be had, so filters, units, attention, layers and small "
        "copies are missing.",
        "无法读取训练好的网络，因此缺少卷积核、单元、注意力、各层与缩略图。",
    ),
    "damaged": (
        "Files of this run are damaged. What they would show is left out; all else is shown. To "
        "see how far the run agrees with itself:",
        "本次训练的一些文件已损坏。相关内容省略，其余照常显示。检查训练是否自洽：",
    ),
    # what and how
    "setup_about": (
        "All that decides the outcome of the run. The fingerprints are SHA-256 of the pictures and "
        "labels: runs with the same one were trained, or tested, on the same.",
        "决定训练结果的一切。指纹是图像与标签的 SHA-256：指纹相同即使用了相同的数据。",
    ),
    "recipe_about": (
        "Recipe {recipe}. These fields differ from the defaults:",
        "配方 {recipe}。以下字段与默认值不同：",
    ),
    # curves
    "curves_about": (
        "How loss and accuracy went from epoch to epoch. Hollow marks on dashes are of training "
        "pictures, filled ones of validation. Where training goes on rising and validation does "
        "not, the network learns its pictures by heart.",
        "损失与准确率随轮次的变化。空心标记与虚线为训练图像，实心为验证图像。"
        "训练仍在上升而验证不再上升时，网络在死记硬背。",
    ),
    "best": (
        "The best validation accuracy is {share}, after epoch {epoch}.",
        "最佳验证准确率为 {share}，在第 {epoch} 轮之后。",
    ),
    "from_to": (
        "{name}: {first} after epoch {one}, {last} after epoch {n}.",
        "{name}：第 {one} 轮后 {first}，第 {n} 轮后 {last}。",
    ),
    "last_ones": (
        "The last {shown} of {all} epochs; history.csv in the run folder has all",
        "{all} 轮中的最后 {shown} 轮；全部见训练文件夹中的 history.csv",
    ),
    # scores
    "scores_about": (
        "Top-1 is the share of pictures whose first answer is right; top-5, whose label is among "
        "the first five answers; balanced, the mean over the classes; log loss also counts how "
        "sure it is, and is the lower the better.",
        "Top-1：第一个回答正确的比例；Top-5：标签在前五个回答之中；平衡准确率：各类别的均值；"
        "对数损失还计入自信程度，越低越好。",
    ),
    "intervals_about": (
        "The intervals speak of the pictures that happened to be scored, not of another seed. The "
        "validation pictures may have served to choose the weights.",
        "区间只针对恰好被评测的图像，不涉及其他随机种子。验证图像可能用于选择权重。",
    ),
    "temperature_about": (
        "A temperature divides the logits: the answers stay, only how sure they are changes. It "
        "was fitted to {n} validation pictures. ECE is over 15 bins of equal mass.",
        "温度用于除以 logits：回答不变，只改变自信程度。它由 {n} 张验证图像拟合。"
        "ECE 使用 15 个等量分箱。",
    ),
    "no_temperature": (
        "No temperature could be fitted to the validation pictures.",
        "无法由验证图像拟合温度。",
    ),
    "stale": (
        "* These were made with other weights than those of the run now.",
        "* 由与现在不同的权重得出。",
    ),
    "classes_about": (
        "Recall is the share of a class's pictures that are answered rightly; precision, the share "
        "of the answers with its name that are right.",
        "召回率：该类图像中回答正确的比例；精确率：回答为该类的图像中正确的比例。",
    ),
    "without_pictures": (
        "{n} classes have no pictures here and are left out: {names}.",
        "{n} 个类别在此没有图像，已省略：{names}。",
    ),
    # confusions
    "confusion_about": (
        "Which class is taken for which. Shades are shares of a row; wrong answers have a scale of "
        "their own, on which few show too.",
        "哪一类被当作哪一类。颜色深浅为占该行的比例；错误的回答另有一个刻度，少量也能看出。",
    ),
    "diagonal": (
        "{right} of {n} pictures lie on the diagonal, {wrong} beside it.",
        "{n} 张图像中 {right} 张在对角线上，{wrong} 张不在。",
    ),
    "all_right": (
        "All {n} pictures lie on the diagonal: there is no confusion.",
        "{n} 张图像全部在对角线上：没有混淆。",
    ),
    "open_cell": (
        "Choose a number beside the diagonal to see its pictures; Escape closes them.",
        "点选对角线之外的数字可查看相应图像；按 Esc 关闭。",
    ),
    "cell_about": (
        "{n} of the {size} pictures of this class, {share}.",
        "该类 {size} 张图像中的 {n} 张，{share}。",
    ),
    "surest_first": (
        "The {n} that it is surest of. Below each: how sure, and which picture it is.",
        "其中最自信的 {n} 张。每张下方：自信程度与图像编号。",
    ),
    # reliability
    "reliability_about": (
        "A point is a bin of pictures of about the same confidence, with the 95 % interval of how "
        "many of them are right. On the dotted line, the network is as often right as it is sure; "
        "below it, too sure. The bars show where the pictures are.",
        "每个点是置信度相近的一组图像，竖线为其正确率的 95% 区间。在虚线上，自信与正确相符；"
        "在其下方则过于自信。柱形表示图像的分布。",
    ),
    "sure_even": (
        "On average it is {sure} sure and {right} right: about as sure as it is right.",
        "平均置信度 {sure}，正确率 {right}：自信与正确大致相符。",
    ),
    "sure_over": (
        "On average it is {sure} sure and {right} right: too sure.",
        "平均置信度 {sure}，正确率 {right}：过于自信。",
    ),
    "sure_under": (
        "On average it is {sure} sure and {right} right: not sure enough.",
        "平均置信度 {sure}，正确率 {right}：不够自信。",
    ),
    # inside
    "filters_about": (
        "The weights of the first convolution as pictures, all on one scale: grey is 0. Edges and "
        "colours are what most networks learn there; noise says that it was trained too little.",
        "第一层卷积的权重，同一刻度：灰色为 0。多数网络在此学到边缘与颜色；若呈噪声，则训练不足。",
    ),
    "filters_inputs": (
        "The weights of the first convolution, all on one scale: grey is 0. Rows are filters, "
        "columns the inputs they read.",
        "第一层卷积的权重，同一刻度：灰色为 0。行为卷积核，列为其输入。",
    ),
    "units_about": (
        "How the units of each activation behave over {n} pictures. One that is never above zero "
        "is dead: nothing it could learn reaches it any more. A saturated value hardly passes a "
        "gradient.",
        "各激活层的单元在 {n} 张图像上的表现。从不大于零的单元已失活，再也学不到东西；"
        "饱和的值几乎不传递梯度。",
    ),
    "attention_about": (
        "What in a picture speaks for the answer that was given.",
        "图像中的哪些部分支持网络给出的回答。",
    ),
    "cam_about": (
        "Grad-CAM shows where the maps of layer {layer} speak for it: the brighter, the more.",
        "Grad-CAM 显示层 {layer} 的特征图中支持该回答的位置：越亮越强。",
    ),
    "no_cam": (
        "No layer of this network puts out a map, so there is no Grad-CAM.",
        "该网络没有输出特征图的层，因此没有 Grad-CAM。",
    ),
    "occlusion_about": (
        "Occlusion hides a patch of the picture, everywhere in turn: it is bright where hiding "
        "lowers the probability of the answer.",
        "遮挡法依次遮住图像的各个小块：遮住后使该回答概率下降之处较亮。",
    ),
    "not_picked": (
        "The pictures are spread evenly over the split, not picked for their looks.",
        "图像在数据中均匀选取，并非挑选。",
    ),
    # mistakes
    "mistakes_about": (
        "Below each picture: the answer and its probability, the label, and which picture it is.",
        "每张图像下方：回答及其概率、标签、图像编号。",
    ),
    "suspects_about": (
        "The network doubts {n} labels, by confident learning, which takes about {noise} of all "
        "labels to be wrong. Some are; some are mistakes of the network: look at them.",
        "按置信学习，网络怀疑 {n} 个标签，估计约 {noise} 的标签有误。其中有些确实错了，"
        "有些是网络的错误：请查看。",
    ),
    "doubtful": (
        "This network is wrong so often that its doubts say more of itself than of the labels.",
        "该网络错误太多，它的怀疑更多说明它自己，而不是标签。",
    ),
    # layers
    "layers_about": (
        "Layer by layer: what comes out, how many weights it has, and how much work it is. "
        "Multiply-adds are of one picture, once forward; floating-point operations are twice as "
        "many. They stand for energy too, which was not measured.",
        "逐层列出：输出、参数与计算量。乘加次数为一张图像前向一次；浮点运算为其两倍。"
        "能耗未测量，以此代之。",
    ),
    "unseen_layers": (
        "{n} layers could not be followed and are not counted.",
        "{n} 层无法跟踪，未计入。",
    ),
    # again
    "again_about": (
        "A run follows from recipe, data and seed: on the same machine the same weights come out.",
        "训练结果由配方、数据与种子决定：在同一台机器上会得到相同的权重。",
    ),
    "typed": ("It was begun by:", "训练命令："),
    "from_python": (
        "It was begun from Python; recipe.json in the run folder has all that decides it.",
        "由 Python 启动；训练文件夹中的 recipe.json 记录了决定结果的一切。",
    ),
    "verify_about": (
        "To score it again, train it again and compare it with itself:",
        "重新评分、重新训练并与自身比较：",
    ),
    "made_by": (
        "Made by neocog report. Every figure is drawn from files of the run folder; this page "
        "loads nothing.",
        "由 neocog report 生成。所有图均取自训练文件夹中的文件；本页不加载任何外部内容。",
    ),
    # several
    "beside_about": (
        "{n} runs, each with its own part below. Intervals are of each score alone; two of them "
        "that overlap do not say that there is no difference.",
        "{n} 次训练，各自的部分在下方。区间只针对单个得分；两个区间重叠并不说明没有差别。",
    ),
    "twice": (
        "Given more than once and counted once: {names}.",
        "重复给出，只计一次：{names}。",
    ),
    "differences_about": (
        "Each run against {first} on the same pictures, picture by picture: points of top-1 with a "
        "paired bootstrap's interval, and McNemar's test. Go by Holm's p, which knows how many "
        "comparisons there are.",
        "各次训练与 {first} 在相同图像上逐一比较：Top-1 百分点及配对自助法区间，"
        "以及 McNemar 检验。请以 Holm p 为准，它考虑了比较的次数。",
    ),
    "not_same": (
        "Not compared, for they were not scored on the same pictures as {first}: {names}.",
        "未作比较，因为与 {first} 的评测图像不同：{names}。",
    ),
    "other_views": (
        "The runs were not scored by the same views, so part of a difference is theirs.",
        "各次评测的视图不同，差别部分来自于此。",
    ),
    "pictures_unknown": (
        "Whether the seeds were scored on the same pictures is not known: an earlier neocog did "
        "not record it.",
        "各种子是否在同一批图像上评测无从得知：早期版本的 neocog 没有记录。",
    ),
    "other_pictures": (
        "Each seed also drew the pictures that were scored, so the spread is of both.",
        "各种子也抽取了不同的评测图像，因此差异来自两者。",
    ),
    "seeds_about": (
        "Runs that differ in their seed alone: mean and standard deviation over the runs, and "
        "Student's t interval of the mean.",
        "仅随机种子不同的训练：均值与标准差，以及均值的 t 区间。",
    ),
}
