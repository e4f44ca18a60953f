"""What the page of `neocog watch` says, in English and Chinese."""

from __future__ import annotations

import re

LANGUAGES = ("en", "zh")

WORDS = {
    "title": ("Training runs", "训练过程"),
    "live": ("Live: what changes is shown within a second.", "实时更新：变化在一秒内显示。"),
    "away": (
        "The server is away. Trying again every second; what stands here is what it said last.",
        "服务器没有响应，每秒重试一次；以下是它最后给出的内容。",
    ),
    "still": (
        "Without JavaScript this page stands still: load it again to see what is new.",
        "未启用 JavaScript，页面不会自动更新：请重新加载。",
    ),
    "runs": ("Runs", "各次训练"),
    "draw": ("draw", "绘制"),
    "run": ("run", "名称"),
    "state": ("state", "状态"),
    "epoch": ("epoch", "轮次"),
    "step": ("step", "步"),
    "left": ("time left", "剩余时间"),
    "train_loss": ("train loss", "训练损失"),
    "train_accuracy": ("train accuracy", "训练准确率"),
    "val_loss": ("val. loss", "验证损失"),
    "val_accuracy": ("val. accuracy", "验证准确率"),
    "best": ("best (epoch)", "最佳（轮次）"),
    "rate": ("images/s", "图像/秒"),
    "lr": ("lr", "学习率"),
    "learning_rate": ("learning rate", "学习率"),
    "loss": ("loss", "损失"),
    "accuracy": ("accuracy", "准确率"),
    "train": ("training", "训练"),
    "val": ("validation", "验证"),
    "under_way": ("epoch under way", "当前轮次"),
    "key": (
        "Filled marks: validation. Hollow marks, dashed: training. Thin: the epoch under way, by "
        "stretches of steps.",
        "实心标记：验证集；空心标记与虚线：训练集；细线：当前轮次中各段步的平均值。",
    ),
    "empty": ("no epoch has ended yet", "尚无完成的轮次"),
    "numbers": ("The numbers of these figures", "图中的数值"),
    "last_ones": (
        "The last {shown} of {all} epochs; history.csv in the run folder has all.",
        "仅列出 {all} 轮中的最后 {shown} 轮；全部数值见训练文件夹中的 history.csv。",
    ),
    "by_epoch": ("{what} by epoch", "各轮次的{what}"),
    "from_to": (
        "{name}: {first} after epoch {one}, {last} after epoch {n}.",
        "{name}：第 {one} 轮后 {first}，第 {n} 轮后 {last}。",
    ),
    "running": ("running", "训练中"),
    "validating": ("validating", "验证中"),
    "silent": ("no word of it", "没有消息"),
    "absent": ("not there yet", "尚未开始"),
    "stopped": ("stopped", "已停止"),
    "diverged": ("diverged", "已发散"),
    "finished": ("finished", "已完成"),
    "unfinished": ("not finished", "未完成"),
    "damaged": ("damaged", "文件损坏"),
    "h": ("{h} h {m:02d} min", "{h} 小时 {m:02d} 分"),
    "m": ("{m} min {s:02d} s", "{m} 分 {s:02d} 秒"),
    "s": ("{s} s", "{s} 秒"),
}


def say(lang: str, name: str) -> str:
    """A word of the page in a language of LANGUAGES."""
    return WORDS[name][LANGUAGES.index(lang)]


def spell(lang: str, seconds: float) -> str:
    """Time as people say it."""
    whole = round(seconds)
    unit = "s" if whole < 60 else "m" if whole < 3600 else "h"
    h, m = (whole // 3600, whole % 3600 // 60) if unit == "h" else (0, whole // 60)
    return say(lang, unit).format(h=h, m=m, s=whole % 60)


def preferred(accepted: str) -> str:
    """The language that a browser likes best, by its Accept-Language (RFC 9110, 12.5.4)."""
    best, chosen = 0.0, LANGUAGES[0]
    for part in accepted[:1000].split(","):
        name, _, rest = part.partition(";")
        found = re.fullmatch(r"\s*q=([01](?:\.\d{0,3})?)\s*", rest)
        weight = float(found[1]) if found else 0.0 if rest else 1.0
        lang = name.strip().lower().partition("-")[0]
        if lang in LANGUAGES and weight > best:
            best, chosen = weight, lang
    return chosen
