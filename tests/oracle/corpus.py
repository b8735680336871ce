"""Text written for these fixtures: prose to score and to train small vocabularies on, other scripts, and code."""

ENGLISH = [
    """The lighthouse keeper climbed the stairs every evening at six, carrying a lamp in one hand and a book in the
other. There were one hundred and forty-two steps, and he had counted them so often that his feet knew each one.
At the top he cleaned the glass, wound the clockwork that turned the lens, and lit the wick. Then he sat down with
his book and read until the first ships appeared on the horizon. He did not mind being alone. The sea, he used to
say, is a good neighbour: it is never quiet, but it never asks questions. On clear nights he could see the lights
of the town across the bay, and sometimes he imagined that somebody over there was looking back at him and wondering
who kept the light burning.""",
    """Bread is made from four things: flour, water, salt and time. The first three are cheap, and the fourth is what
most bakeries try to save. When flour meets water, two proteins join into a stretchy net called gluten, which holds
the bubbles that the yeast blows. If the dough rests overnight in a cool place, the yeast works slowly, and enzymes
turn some of the starch into sugar. That sugar browns the crust and gives the loaf its smell. A hurried loaf rises
just as high, but it tastes of very little and is stale the next day. So the best advice for a beginner isn't to
knead harder or to buy a better oven. It's to start the evening before, and to go to bed.""",
    """A computer keeps numbers in two kinds of places: a few registers that are very fast and very small, and a main
memory that is large and slow. Most of the art of writing fast programs lies in moving data between the two as
rarely as possible. When a program reads one byte from memory, the machine fetches the whole line of sixty-four
bytes around it, because the neighbours will probably be needed soon. A loop that walks through an array in order
uses every byte of every line. A loop that jumps from row to row may use only four bytes out of each sixty-four and
run ten times slower, although it does exactly the same arithmetic. Nothing in the source code shows the difference;
you've got to know the machine, measure, and then arrange the data so that what is used together lies together.""",
    """In 1987 the village had 312 people, two shops and a railway station where trains stopped twice a day. By 2003 the
station had closed, and one of the shops sold only petrol and newspapers. Nobody planned what happened next. A potter
from the city rented the empty waiting room because it was cheap, and her friends came to visit. One of them stayed
and opened a small school of drawing; another began to repair bicycles. Twenty years later there are 540 people, and
the trains stop again, four times a day. They'll tell you that it was luck, and I'm sure that's partly true, but it
was also the result of a door that somebody had left unlocked.""",
]

OTHER_SCRIPTS = [
    "Der Fluß führt im Frühling viel Wasser, und die Brücke wird für drei Wochen gesperrt.",
    "L'été dernier, j'ai mangé une pêche à l'ombre d'un vieux chêne près du château.",
    "El niño corrió detrás de la cigüeña, pero ¿quién podía alcanzarla? ¡Nadie!",
    "Старый трамвай медленно идёт через мост, и вода под ним блестит на солнце.",
    "Ο γέρος ψαράς έφτιαχνε τα δίχτυα του μπροστά στη θάλασσα.",
    "今天早上下雨了,我们在家里喝茶、看书。明天会不会晴天?",
    "図書館で古い地図を見つけました。とても面白かったです。",
    "도서관에서 오래된 지도를 찾았어요. 정말 재미있었습니다.",
    "ذهب الولد إلى السوق واشترى ثلاثة كتب وقلمًا.",
    "הילד הלך לשוק וקנה שלושה ספרים ועיפרון.",
    "बच्चा बाज़ार गया और तीन किताबें खरीदीं।",
    "เด็กไปตลาดและซื้อหนังสือสามเล่ม",
]

CODE = [
    "int main(int argc, char **argv) {\n\tfor (int i = 0; i < argc; ++i) {\n\t\tprintf(\"%d: %s\\n\", i, argv[i]);\n\t}\n\treturn 0;\n}\n",
    "def mean(values):\n    \"\"\"Average, or None of nothing.\"\"\"\n    return sum(values) / len(values) if values else None\n\n\nprint(mean([1, 2.5, 1e-3]))\n",
    "SELECT name, COUNT(*) AS n FROM users WHERE age >= 18 AND name <> 'O''Hara' GROUP BY name ORDER BY n DESC;\n",
    "{\"id\": 17, \"tags\": [\"a\", \"b\"], \"price\": -12.50, \"ok\": true, \"next\": null}\n",
    "<p class=\"note\">5 &lt; 6 &amp;&amp; x != y</p>\r\n<!-- end -->\r\n",
    "git commit -m 'fix: off-by-one' && make -j8 2>&1 | tee build.log\n",
]


def english():
    """Paragraphs with their line breaks undone."""
    return [" ".join(paragraph.split("\n")) for paragraph in ENGLISH]
