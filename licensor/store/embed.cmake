# Write engenho.lua into a C array: cmake -DINPUT=engenho.lua -DOUTPUT=library.c -P embed.cmake
file(READ ${INPUT} hex HEX)
string(LENGTH "${hex}" digits)
math(EXPR bytes "${digits} / 2")
string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," body "${hex}")
string(REGEX REPLACE "(0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,)" "\\1\n" body "${body}")
file(WRITE ${OUTPUT} "#include \"licensor/store/library.h\"\n\nconst unsigned char engenho_lua[] = {\n${body}};\nconst size_t engenho_lua_bytes = ${bytes};\n")
