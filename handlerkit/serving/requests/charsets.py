"""The names of Java's charsets. Python's are others: they include codecs that decode no text, such as hex and zlib, and
utf-7, whose text may hold half a surrogate pair."""

from __future__ import annotations

#: In lower case: what java.nio.charset.Charset.availableCharsets() of JDK 17 has, under each name, and Python decodes.
JAVA_CHARSETS = frozenset(
    """
    037 1026 1140 273 424 437 500 646 775 850 852 855 857 858 860 861 862 863 864 865 866 869 932 949 950
    ansi_x3.4-1968 ansi_x3.4-1986 arabic ascii asmo-708 big5 big5-hkscs big5_hkscs big5hkscs cp-gr cp-is cp037 cp1006
    cp1026 cp1140 cp1250 cp1251 cp1252 cp1253 cp1254 cp1255 cp1256 cp1257 cp1258 cp273 cp367 cp424 cp437 cp500 cp737
    cp775 cp819 cp850 cp852 cp855 cp856 cp857 cp858 cp860 cp861 cp862 cp863 cp864 cp865 cp866 cp869 cp874 cp875 cp932
    cp936 cp949 cp950 csascii csbig5 csibm037 csibm424 csibm500 csibm857 csibm860 csibm861 csibm863 csibm864 csibm865
    csibm866 csibm869 csiso2022jp csiso2022kr csisolatin1 csisolatin2 csisolatin3 csisolatin4 csisolatin5
    csisolatinarabic csisolatincyrillic csisolatingreek csisolatinhebrew cskoi8r cspc850multilingual cspc862latinhebrew
    cspc8codepage437 cspcp852 csshiftjis cyrillic ebcdic-cp-ca ebcdic-cp-ch ebcdic-cp-he ebcdic-cp-nl ebcdic-cp-us
    ebcdic-cp-wt ecma-114 ecma-118 elot_928 euc-cn euc-jp euc-kr euc_cn euc_jp euc_kr euccn eucjp euckr gb18030 gb2312
    gb2312-1980 gb2312-80 gbk greek greek8 hebrew ibm037 ibm1026 ibm1140 ibm273 ibm367 ibm424 ibm437 ibm500 ibm775
    ibm819 ibm850 ibm852 ibm855 ibm857 ibm858 ibm860 ibm861 ibm862 ibm863 ibm864 ibm865 ibm866 ibm869 iso-2022-jp
    iso-2022-jp-2 iso-2022-kr iso-8859-1 iso-8859-11 iso-8859-13 iso-8859-15 iso-8859-16 iso-8859-2 iso-8859-3
    iso-8859-4 iso-8859-5 iso-8859-6 iso-8859-7 iso-8859-8 iso-8859-9 iso-ir-100 iso-ir-101 iso-ir-109 iso-ir-110
    iso-ir-126 iso-ir-127 iso-ir-138 iso-ir-144 iso-ir-148 iso-ir-226 iso-ir-6 iso2022jp iso2022kr iso646-us iso8859-1
    iso8859-13 iso8859-15 iso8859-2 iso8859-3 iso8859-4 iso8859-5 iso8859-6 iso8859-7 iso8859-8 iso8859-9 iso8859_1
    iso8859_11 iso8859_13 iso8859_15 iso8859_16 iso8859_2 iso8859_3 iso8859_4 iso8859_5 iso8859_6 iso8859_7 iso8859_8
    iso8859_9 iso_646.irv:1991 iso_8859-1 iso_8859-13 iso_8859-15 iso_8859-16 iso_8859-16:2001 iso_8859-1:1987
    iso_8859-2 iso_8859-2:1987 iso_8859-3 iso_8859-3:1988 iso_8859-4 iso_8859-4:1988 iso_8859-5 iso_8859-5:1988
    iso_8859-6 iso_8859-6:1987 iso_8859-7 iso_8859-7:1987 iso_8859-8 iso_8859-8:1988 iso_8859-9 iso_8859-9:1989
    iso_8859_1 johab koi8-r koi8-u koi8_r koi8_u ks_c_5601-1987 ksc5601 l1 l10 l2 l3 l4 l5 l9 latin1 latin10 latin2
    latin3 latin4 latin5 latin9 maccentraleurope maccyrillic macgreek maciceland macroman macturkish ms1361 ms932 ms936
    ms949 ms950 ms_kanji shift-jis shift_jis shift_jis:2004 sjis sjis:2004 tis-620 tis620 unicodebigunmarked
    unicodelittleunmarked us us-ascii utf-16 utf-16be utf-16le utf-32 utf-32be utf-32le utf-8 utf16 utf32 utf8 utf_16
    utf_16be utf_16le utf_32 utf_32be utf_32le windows-1250 windows-1251 windows-1252 windows-1253 windows-1254
    windows-1255 windows-1256 windows-1257 windows-1258
    """.split()
)
